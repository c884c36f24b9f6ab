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
    let asked: Asked<Request> = match understood(&body) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let deadline = asked.deadline();
    let Some(partition) = asked.partition else { return not_understood("a command names no partition") };
    let Ok(_room) = calls.room.try_acquire() else { return said(Answer::not_accepted(NotAccepted::Busy)) };
    said(calls.writers.submit(partition, Request { deadline, ..asked.request }).await)
}

async fn registration(State(calls): State<Calls>, body: Bytes) -> Response {
    let asked: Asked<DirectoryRequest> = match understood(&body) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let deadline = asked.deadline();
    let Ok(_room) = calls.room.try_acquire() else { return said(Answer::not_accepted(NotAccepted::Busy)) };
    said(calls.writers.register(asked.request.until(deadline)).await)
}

fn understood<T: DeserializeOwned>(body: &Bytes) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|why| not_understood(&why.to_string()))
}

/// A newer node's command, most likely. Nothing was done.
fn not_understood(why: &str) -> Response {
    tracing::warn!(why, "a command of another node is not understood");
    (StatusCode::BAD_REQUEST, Json(json!({ "error": "not_understood" }))).into_response()
}

fn said(answer: Answer) -> Response {
    Json(Said::of(answer)).into_response()
}
