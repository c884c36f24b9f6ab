//! Looks up the addresses of a name.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType};
use tokio::sync::Semaphore;

use super::config::LOOKUPS_MAX;
use super::error::EgressError;

/// Lookup of names. Tests bring their own.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Returns the addresses of `name`, at least one, or `NoSuchHost`, or `LookupFailed`.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, EgressError>;
}

/// The resolver of the operating system, so that `/etc/hosts` and the like work as everywhere on this machine.
pub struct SystemResolver {
    /// A lookup cannot be cancelled: its permit is held until it ends, also when nobody waits for it any more.
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, EgressError> {
        let permit = self.lookups.clone().acquire_owned().await.map_err(|_| EgressError::LookupFailed)?;
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
            let found =
                dns_lookup::getaddrinfo(Some(&name), None, Some(hints)).map_err(|error| match error.kind() {
                    LookupErrorKind::NoName | LookupErrorKind::NoData => EgressError::NoSuchHost,
                    _ => EgressError::LookupFailed,
                })?;
            let addresses: Vec<IpAddr> = found.filter_map(Result::ok).map(|info| info.sockaddr.ip()).collect();
            if addresses.is_empty() { Err(EgressError::NoSuchHost) } else { Ok(addresses) }
        });
        lookup.await.unwrap_or(Err(EgressError::LookupFailed))
    }
}
