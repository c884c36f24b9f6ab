//! The transport. axum lives here and nowhere else.

mod answer;
mod api;
mod form;
mod ops;
mod parse;
mod registry;
mod search;
mod serve;
mod ws;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{any, get},
};

use crate::{Gateway, limits};

pub use search::search_service;
pub use serve::{serve, serve_waiting};

/// Everything that the gateway serves. Serve it with the peers' addresses
/// (`into_make_service_with_connect_info::<SocketAddr>()`): without them nobody counts as being on this machine.
pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/api/{method}", any(api::call))
        .route("/ws/{ticket}", get(ws::upgrade))
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/schemas/ids/{id}", get(registry::schema))
        .route("/schemas/types", get(registry::types))
        .route("/subjects", get(registry::subjects))
        .route("/subjects/{subject}/versions", get(registry::versions))
        .route("/subjects/{subject}/versions/{version}", get(registry::version))
        .route("/", get(ops::index))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .with_state(gateway)
}
