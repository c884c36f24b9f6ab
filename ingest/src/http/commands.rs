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

/// The number of forwarded commands in flight here. Past it they get `Busy` at once, as at a writer's own bound.
const CALLS_MAX: usize = 16_384;

#[derive(Clone)]
struct Calls {
    writers: Arc<dyn Writers>,
    room: Arc<Semaphore>,
}

/// Returns the routes of an ingest node, which hand commands of other nodes to these writers.
pub fn commands(writers: Arc<dyn Writers>) -> Router {
    Router::new().route(COMMANDS, post(command)).route(DIRECTORY, post(registration)).with_state(Calls::of(writers))
}

/// Returns the answer of these [`commands`] to one call, without a connection.
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
    let Ok(_room) = calls.room.try_acquire() else { return respond(Answer::not_accepted(NotAccepted::Busy)) };
    respond(calls.writers.submit(partition, Request { deadline, ..asked.request }).await)
}

async fn registration(State(calls): State<Calls>, body: Bytes) -> Response {
    let Some(asked) = understood::<Asked<DirectoryRequest>>(&body) else { return not_understood() };
    let deadline = asked.deadline();
    let Ok(_room) = calls.room.try_acquire() else { return respond(Answer::not_accepted(NotAccepted::Busy)) };
    respond(calls.writers.register(asked.request.until(deadline)).await)
}

/// Decodes a call; `None` if this version cannot, most likely because a newer node sent it.
fn understood<T: DeserializeOwned>(body: &Bytes) -> Option<T> {
    let said = |why: &serde_json::Error| tracing::warn!(%why, "a command of another node is not understood");
    serde_json::from_slice(body).inspect_err(said).ok()
}

/// Returns the response to a call that could not be decoded: nothing was executed.
fn not_understood() -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": "not_understood" }))).into_response()
}

fn respond(answer: Answer) -> Response {
    Json(Said::of(answer)).into_response()
}
