//! The routes for operators and their tools.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::{Gateway, Health, methods};

type Asked = (Arc<dyn Health>, Option<PrometheusHandle>);

/// `/healthz`, `/readyz` and `/metrics`, of any process.
pub fn ops(health: Arc<dyn Health>, metrics: Option<PrometheusHandle>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(self::metrics))
        .with_state((health, metrics))
}

/// Answers that the process is alive.
pub(super) async fn healthz() -> Response {
    Json(json!({ "ok": true })).into_response()
}

/// Each part's state; 503 when this process cannot serve.
async fn readyz(State((health, _)): State<Asked>) -> Response {
    let report = health.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ok": report.ready, "parts": report.parts }))).into_response()
}

/// Prometheus' text format.
async fn metrics(State((_, metrics)): State<Asked>) -> Response {
    match metrics {
        Some(handle) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "nothing is recorded here\n").into_response(),
    }
}

/// The table of methods as an OpenAPI document.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], methods::openapi()).into_response()
}

/// Describes the endpoints to a person with a browser.
pub(super) async fn index(State(gateway): State<Gateway>) -> Response {
    let url = &gateway.config().public_url;
    format!(
        "teamlog {}\n\nThe Web API is at {url}/api/<method>, for example\n\n    curl {url}/api/api.test\n\nas \
         /openapi.json describes it, and /healthz, /readyz, /metrics, /subjects tell how it is doing and what its log holds.\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_response()
}
