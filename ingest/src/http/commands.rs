//! Commands that other nodes hand in.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Semaphore;

use super::wire::{Asked, Said};
use crate::{Answer, DirectoryRequest, NotAccepted, Request, Writers};

/// Commands of other nodes that wait for their answers here. Past it they get `Busy` at once, as at a writer's own bound.
const CALLS_MAX: usize = 16_384;

#[derive(Clone)]
struct Calls {
    writers: Arc<dyn Writers>,
    room: Arc<Semaphore>,
}

/// What an ingest node answers: commands for these writers.
pub fn commands(writers: Arc<dyn Writers>) -> Router {
    let calls = Calls { writers, room: Arc::new(Semaphore::new(CALLS_MAX)) };
    Router::new()
        .route("/internal/commands", post(command))
        .route("/internal/directory", post(registration))
        .with_state(calls)
}

async fn command(State(calls): State<Calls>, body: Bytes) -> Response {
    let Some(asked) = understood::<Asked<Request>>(&body) else { return not_understood() };
    let deadline = asked.deadline();
    let Some(partition) = asked.partition else { return not_understood() };
    let Ok(_room) = calls.room.try_acquire() else { return said(Answer::not_accepted(NotAccepted::Busy)) };
    said(calls.writers.submit(partition, Request { deadline, ..asked.request }).await)
}

async fn registration(State(calls): State<Calls>, body: Bytes) -> Response {
    let Some(asked) = understood::<Asked<DirectoryRequest>>(&body) else { return not_understood() };
    let deadline = asked.deadline();
    let Ok(_room) = calls.room.try_acquire() else { return said(Answer::not_accepted(NotAccepted::Busy)) };
    said(calls.writers.register(asked.request.until(deadline)).await)
}

/// None for a newer node's, most likely.
fn understood<T: DeserializeOwned>(body: &Bytes) -> Option<T> {
    let said = |why: &serde_json::Error| tracing::warn!(%why, "a command of another node is not understood");
    serde_json::from_slice(body).inspect_err(said).ok()
}

/// Nothing was done.
fn not_understood() -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": "not_understood" }))).into_response()
}

fn said(answer: Answer) -> Response {
    Json(Said::of(answer)).into_response()
}
