//! This process among the cluster's nodes.

use std::net::SocketAddr;

use teamlog_ingest::{Clock, JoinError, NodeParts, Nodes};
use uuid::Uuid;

use crate::parts::OpenLog;

/// Waits until no other server is on the log. None with the embedded engine: there the lock on the data directory keeps
/// others away, and the clock that stamps the log's records is this machine's own.
///
/// # Errors
/// If another one lives.
pub(crate) async fn join(
    log: &OpenLog,
    node: Uuid,
    address: SocketAddr,
    clock: &Clock,
) -> Result<Option<Nodes>, JoinError> {
    if matches!(log, OpenLog::Embedded(_)) {
        return Ok(None);
    }
    let address = format!("http://{}", advertised(address));
    let parts = NodeParts { log: log.shared(), node, role: "serve", address, clock: clock.clone() };
    Nodes::join(parts).await.map(Some)
}

/// An address that says something elsewhere too: with every interface listened on, this machine's name.
fn advertised(address: SocketAddr) -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if address.ip().is_unspecified() && !name.is_empty() {
        return format!("{name}:{}", address.port());
    }
    address.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_others_can_use() {
        assert_eq!(advertised("127.0.0.1:80".parse().unwrap()), "127.0.0.1:80");
        assert!(!advertised("0.0.0.0:80".parse().unwrap()).starts_with("0.0.0.0"));
    }
}
