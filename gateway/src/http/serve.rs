//! The server itself, and what answers while there is none yet.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{ops, router};
use crate::Gateway;

/// Serves a gateway on a listener until `stop`, then lets the calls under way end.
///
/// # Errors
/// The listener's own.
pub async fn serve(
    listener: tokio::net::TcpListener,
    gateway: Gateway,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let service = router(gateway).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Answers before there is a gateway, for the log may be away for long when a process starts: it is alive, it is not
/// ready, and whatever is called may be called again.
///
/// # Errors
/// The listener's own.
pub async fn serve_waiting(listener: tokio::net::TcpListener, stop: CancellationToken) -> std::io::Result<()> {
    let app = Router::new().route("/healthz", get(ops::healthz)).route("/readyz", get(not_ready)).fallback(not_yet);
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn not_ready() -> impl IntoResponse {
    let parts = json!({ "log": { "answers": false } });
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ok": false, "parts": parts })))
}

async fn not_yet() -> impl IntoResponse {
    let body = Json(json!({ "ok": false, "error": "service_unavailable" }));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], body)
}
