//! This process among the cluster's nodes.

use std::net::SocketAddr;

/// An address that says something elsewhere too: with every interface listened on, this machine's name.
pub(crate) fn advertised(address: SocketAddr) -> String {
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
