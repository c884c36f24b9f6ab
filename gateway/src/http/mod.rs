//! The transport. axum lives here and nowhere else.

mod answer;
mod api;
mod form;
mod ops;
mod parse;
mod pass_on;
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

pub use ops::ops;
pub use search::search_service;
pub use serve::{serve, serve_waiting};

/// The routes for other gateways, which forward calls of teams whose home is this node.
pub fn internal(gateway: Gateway) -> Router {
    Router::new().route("/internal/api/{method}", any(api::passed_on)).with_state(gateway)
}

/// Everything that the gateway serves. Serve it with the peers' addresses
/// (`into_make_service_with_connect_info::<SocketAddr>()`): without them nobody counts as being on this machine.
pub fn router(gateway: Gateway) -> Router {
    let ops = ops(gateway.health().clone(), gateway.metrics().cloned());
    Router::new()
        .route("/api/{method}", any(api::call))
        .route("/ws/{ticket}", get(ws::upgrade))
        .route("/schemas/ids/{id}", get(registry::schema))
        .route("/schemas/types", get(registry::types))
        .route("/subjects", get(registry::subjects))
        .route("/subjects/{subject}/versions", get(registry::versions))
        .route("/subjects/{subject}/versions/{version}", get(registry::version))
        .route("/openapi.json", get(ops::openapi))
        .route("/", get(ops::index))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .with_state(gateway)
        .merge(ops)
}
