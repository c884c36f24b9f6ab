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

use super::{
    COMMANDS, DIRECTORY,
    wire::{Asked, Said},
};
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
    Router::new().route(COMMANDS, post(command)).route(DIRECTORY, post(registration)).with_state(Calls::of(writers))
}

/// What a listener of these [`commands`] answers to one call, with no connection in between.
#[cfg(feature = "testing")]
pub async fn answered(writers: Arc<dyn Writers>, path: &str, body: Bytes) -> (StatusCode, Bytes) {
    let calls = State(Calls::of(writers));
    let answer = if path == COMMANDS { command(calls, body).await } else { registration(calls, body).await };
    let (head, body) = answer.into_parts();
    (head.status, axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default())
}

impl Calls {
    fn of(writers: Arc<dyn Writers>) -> Calls {
        Calls { writers, room: Arc::new(Semaphore::new(CALLS_MAX)) }
    }
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
