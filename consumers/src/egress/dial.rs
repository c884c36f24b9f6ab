//! Connects to a host at an address that was checked, and to no other.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::address::Reach;
use super::config::{ADDRESSES_MAX, EgressConfig};
use super::error::EgressError;
use super::resolve::Resolve;
use super::target::{Target, TargetHost};

/// Bytes to and from a host, encrypted or not.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Resolver, trusted certificates and judgement of addresses. Tests bring their own, and let one address of this machine stand
/// for a public one.
pub struct Surroundings {
    /// Looks names up.
    pub resolver: Arc<dyn Resolve>,
    /// Root certificates that are trusted.
    pub roots: Vec<CertificateDer<'static>>,
    /// Says where an address leads: [`super::reach`].
    pub reach: fn(IpAddr) -> Reach,
}

/// Resolver, address policy and TLS of outgoing connections. It reads no proxy settings: a proxy would do the lookup
/// by itself, and what was checked here would not be what is connected to.
pub(super) struct Dialer {
    resolver: Arc<dyn Resolve>,
    reach: fn(IpAddr) -> Reach,
    allow_private: bool,
    connect_timeout: Duration,
    tls: TlsConnector,
}

impl Dialer {
    pub(super) fn new(config: &EgressConfig, surroundings: Surroundings) -> Self {
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(surroundings.roots);
        if trusted.is_empty() {
            tracing::warn!("this machine has no root certificates: nothing can be fetched by https");
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            resolver: surroundings.resolver,
            reach: surroundings.reach,
            allow_private: config.allow_private_urls,
            connect_timeout: config.connect_timeout,
            tls: TlsConnector::from(Arc::new(tls)),
        }
    }

    /// Returns the addresses of the target's host. Each of them may be connected to: a name that leads to one forbidden
    /// address among others is refused whole, since no honest name does.
    pub(super) async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, EgressError> {
        let mut addresses: Vec<IpAddr> = match &target.host {
            TargetHost::Address(address) => vec![*address],
            TargetHost::Name(name) => self.resolver.resolve(name).await?,
        };
        for address in &mut addresses {
            *address = address.to_canonical();
            self.check(*address)?;
        }
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err(EgressError::NoSuchHost) } else { Ok(addresses) }
    }

    /// Refuses an address that may not be connected to.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), EgressError> {
        match (self.reach)(address) {
            Reach::Public => Ok(()),
            Reach::Private(_) if self.allow_private => Ok(()),
            Reach::Private(why) | Reach::Forbidden(why) => Err(EgressError::RefusedAddress(why)),
        }
    }

    /// Connects to `address`, which [`Dialer::addresses`] returned for this target.
    pub(super) async fn connect(&self, target: &Target, address: IpAddr) -> Result<Box<dyn Connection>, EgressError> {
        let connecting = async {
            let stream = TcpStream::connect(SocketAddr::new(address, target.port))
                .await
                .map_err(|_| EgressError::ConnectFailed)?;
            // A machine that reaches a public address of its own has it as its own end too.
            if !self.allow_private && stream.local_addr().is_ok_and(|own| own.ip().to_canonical() == address) {
                return Err(EgressError::RefusedAddress("this machine itself"));
            }
            let _ = stream.set_nodelay(true);
            if !target.https {
                return Ok(Box::new(stream) as Box<dyn Connection>);
            }
            let name = match &target.host {
                TargetHost::Address(address) => ServerName::IpAddress((*address).into()),
                TargetHost::Name(name) => {
                    ServerName::try_from(name.clone()).map_err(|_| EgressError::RefusedUrl("not a host name"))?
                }
            };
            let stream = self.tls.connect(name, stream).await.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => EgressError::TlsFailed,
                // The connection broke.
                _ => EgressError::ConnectFailed,
            })?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        };
        timeout(self.connect_timeout, connecting).await.unwrap_or(Err(EgressError::ConnectFailed))
    }
}
