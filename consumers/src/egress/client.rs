//! GET over checked connections, with redirects followed by hand.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::address::reach;
use super::body;
use super::config::{EgressConfig, HEAD_BYTES_MAX, HEADERS_MAX, RETRY_AFTER_MAX};
use super::dial::{Connection, Dialer, Surroundings};
use super::error::EgressError;
use super::gates::{Gates, Passage};
use super::resolve::SystemResolver;
use super::target::{Target, TargetHost};

/// Outgoing HTTP to hosts that are not trusted. Cheap to clone; clones share their bounds.
///
/// Each request, the first and after each redirect, checks the URL, looks its host up once, checks every address, and
/// connects to one of exactly those. No cookie, no `Referer`, no credentials are sent, and no connection is used twice.
#[derive(Clone)]
pub struct Egress {
    inner: Arc<Inner>,
}

struct Inner {
    config: EgressConfig,
    dialer: Dialer,
    hosts: Arc<Gates<TargetHost>>,
    addresses: Arc<Gates<IpAddr>>,
    in_flight: Arc<Semaphore>,
}

/// The head of a successful response, by which a caller decides how much of the body it wants.
#[derive(Debug, Clone)]
pub struct Head {
    /// URL after redirects.
    pub url: Url,
    /// `Content-Type`, as sent.
    pub content_type: Option<String>,
    /// `Content-Length`, as claimed.
    pub content_length: Option<u64>,
}

impl Head {
    /// The media type in lower case without parameters: `text/html`. Empty if there is none.
    pub fn media_type(&self) -> String {
        let whole = self.content_type.as_deref().unwrap_or_default();
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// A successful response.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its head.
    pub head: Head,
    /// As much of the body as was wanted, decompressed.
    pub body: Bytes,
    /// True if the body went on after that.
    pub truncated: bool,
}

/// Leave for one exchange: a turn at the host, at the address and in the whole process.
struct Turn {
    _host: Passage<TargetHost>,
    _address: Passage<IpAddr>,
    _in_flight: OwnedSemaphorePermit,
}

/// A response, on a connection that ends when this is dropped.
struct Exchange {
    response: Response<Incoming>,
    _turn: Turn,
    _connection: AbortOnDropHandle<()>,
}

impl Egress {
    /// Uses this machine's resolver and trusts this machine's root certificates.
    pub fn new(config: EgressConfig) -> Self {
        let roots = rustls_native_certs::load_native_certs();
        for error in &roots.errors {
            tracing::warn!(%error, "a root certificate of this machine was not read");
        }
        Self::within(Surroundings { resolver: Arc::new(SystemResolver::default()), roots: roots.certs, reach }, config)
    }

    /// Uses the given resolver, root certificates and judgement of addresses.
    pub fn within(surroundings: Surroundings, config: EgressConfig) -> Self {
        let inner = Inner {
            dialer: Dialer::new(&config, surroundings),
            hosts: Gates::new(config.per_host_max),
            addresses: Gates::new(config.per_address_max),
            in_flight: Arc::new(Semaphore::new(config.in_flight_max.max(1))),
            config,
        };
        Self { inner: Arc::new(inner) }
    }

    /// True if `url` is one that would be fetched, as far as its text tells: the addresses of a name are not looked up.
    pub fn admits(&self, url: &Url) -> bool {
        Target::of(url).is_ok_and(|target| match target.host {
            TargetHost::Name(_) => true,
            TargetHost::Address(address) => self.inner.dialer.check(address).is_ok(),
        })
    }

    /// Fetches `url` and the redirects from there. `wanted` says, from the head of a success, how many bytes of the body
    /// to read at most, 0 for none of it. Ends within the configured total time, whatever the other side does.
    pub async fn get(
        &self,
        url: &Url,
        accept: &'static str,
        wanted: impl FnOnce(&Head) -> usize + Send,
    ) -> Result<Fetched, EgressError> {
        let following = self.inner.follow(url, accept, wanted);
        let fetched = timeout(self.inner.config.total_timeout, following).await.unwrap_or(Err(EgressError::TimedOut));
        let outcome = match &fetched {
            Ok(_) => "ok",
            Err(error) if error.is_temporary() => "failed",
            Err(_) => "refused",
        };
        metrics::counter!("teamlog_egress_requests_total", "outcome" => outcome).increment(1);
        fetched
    }
}

impl Inner {
    async fn follow(
        &self,
        url: &Url,
        accept: &'static str,
        wanted: impl FnOnce(&Head) -> usize + Send,
    ) -> Result<Fetched, EgressError> {
        let mut url = url.clone();
        for _ in 0..=self.config.redirects_max {
            let target = Target::of(&url)?;
            let exchange = self.exchange(&target, accept).await?;
            match redirect(&url, &exchange.response)? {
                Some(next) => url = next,
                None => return self.receive(url, exchange, wanted).await,
            }
        }
        Err(EgressError::TooManyRedirects)
    }

    /// Sends one request to the first address of the target that accepts a connection.
    async fn exchange(&self, target: &Target, accept: &'static str) -> Result<Exchange, EgressError> {
        let host = self.turn(self.hosts.enter(target.host.clone())).await?;
        let mut failure = EgressError::NoSuchHost;
        for address in self.dialer.addresses(target).await? {
            // Those who wait hold only what was passed before: a busy host or address takes no turn from others.
            let passage = self.turn(self.addresses.enter(subnet(address))).await?;
            let in_flight = self.turn(self.in_flight.clone().acquire_owned()).await?.map_err(|_| EgressError::Busy)?;
            match self.dialer.connect(target, address).await {
                Ok(stream) => {
                    let turn = Turn { _host: host, _address: passage, _in_flight: in_flight };
                    return self.send(target, accept, stream, turn).await;
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn turn<T>(&self, waiting: impl Future<Output = T>) -> Result<T, EgressError> {
        timeout(self.config.turn_timeout, waiting).await.map_err(|_| EgressError::Busy)
    }

    async fn send(
        &self,
        target: &Target,
        accept: &'static str,
        stream: Box<dyn Connection>,
        turn: Turn,
    ) -> Result<Exchange, EgressError> {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| EgressError::BrokenResponse)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Its error comes out of the request or of the body too.
            let _ = connection.await;
        }));
        let request = Request::get(&target.path)
            .header(HOST, &target.authority)
            .header(USER_AGENT, &self.config.user_agent)
            .header(ACCEPT, accept)
            .header(ACCEPT_ENCODING, body::ACCEPT_ENCODING)
            .body(Empty::<Bytes>::new())
            .map_err(|_| EgressError::RefusedUrl("cannot be sent"))?;
        let response = sender.send_request(request).await.map_err(|_| EgressError::BrokenResponse)?;
        Ok(Exchange { response, _turn: turn, _connection: connection })
    }

    async fn receive(
        &self,
        url: Url,
        exchange: Exchange,
        wanted: impl FnOnce(&Head) -> usize + Send,
    ) -> Result<Fetched, EgressError> {
        let (parts, incoming) = exchange.response.into_parts();
        if !parts.status.is_success() {
            let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
            return Err(EgressError::Status { status: parts.status.as_u16(), retry_after });
        }
        let header = |name| parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let head = Head {
            url,
            content_type: header(CONTENT_TYPE),
            content_length: header(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        };
        match wanted(&head) {
            0 => Ok(Fetched { head, body: Bytes::new(), truncated: true }),
            bytes_max => {
                let body = body::read(&parts.headers, incoming, bytes_max).await?;
                Ok(Fetched { head, body: body.bytes, truncated: body.truncated })
            }
        }
    }
}

/// Returns where a response redirects to, if it does. Nothing of it is trusted: the caller checks the new URL as it
/// did the first.
fn redirect(url: &Url, response: &Response<Incoming>) -> Result<Option<Url>, EgressError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
    let location =
        std::str::from_utf8(location.as_bytes()).map_err(|_| EgressError::RefusedUrl("redirect to no url"))?;
    url.join(location).map(Some).map_err(|_| EgressError::RefusedUrl("redirect to no url"))
}

/// The address that shares a bound: a customer of IPv6 has a /64 at least.
fn subnet(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}
