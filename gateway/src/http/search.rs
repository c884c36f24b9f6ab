//! `/internal/search`: the answers of a search node to gateways. The listener decides who may call it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    limits,
    read::{MessageIndex, SEARCH_PATH, SEARCH_VERSION, SearchAnswer, SearchRequest},
};

/// The longest time for a query: the calling gateway tries the next node after a second.
const FIND_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers from an index. Permission is the asking gateway's: this is for the internal listener only.
pub fn search_service(index: Arc<dyn MessageIndex>) -> Router {
    Router::new()
        .route(SEARCH_PATH, post(find))
        .layer(DefaultBodyLimit::max(limits::INTERNAL_SEARCH_BYTES_MAX))
        .with_state(index)
}

/// The version, read first, because the rest may have another format.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

async fn find(State(index): State<Arc<dyn MessageIndex>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Version { v: SEARCH_VERSION }) => {}
        Ok(Version { v }) => {
            return refused(StatusCode::UNPROCESSABLE_ENTITY, &format!("version {v} is not known here"));
        }
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    }
    let request: SearchRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let found = index.find(request.partition, request.at_least, request.query);
    match tokio::time::timeout(FIND_TIMEOUT, found).await {
        Ok(Ok(matches)) => Json(SearchAnswer { v: SEARCH_VERSION, matches }).into_response(),
        Ok(Err(why)) => refused(StatusCode::SERVICE_UNAVAILABLE, &why),
        Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, &"not read so far, or not found, in 1 s"),
    }
}

fn refused(status: StatusCode, why: &impl ToString) -> Response {
    (status, Json(json!({ "v": SEARCH_VERSION, "error": why.to_string() }))).into_response()
}
