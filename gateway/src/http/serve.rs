//! The server itself.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::router;
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
