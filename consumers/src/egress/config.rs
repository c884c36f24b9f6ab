//! Bounds of every fetch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds and policy of outgoing HTTP. What a caller wants of a body is bounded by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// Also connects to private addresses (RFC 1918, loopback, unique local, shared address space). Forbidden ones stay so.
    /// Set from `[apps] allow_private_urls`.
    #[serde(skip)]
    pub allow_private_urls: bool,
    /// Time for a connection to one address to be made, TLS included.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Time for a whole fetch: waiting for its turn, lookups, redirects and the body.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    /// Time to wait for a turn at a host, at an address, or in the process; past it the fetch ends as busy.
    #[serde(with = "humantime_serde")]
    pub turn_timeout: Duration,
    /// Redirects that are followed, each checked like the first URL.
    pub redirects_max: usize,
    /// Fetches in flight to one host name.
    pub per_host_max: usize,
    /// Connections open to one IPv4 address or IPv6 /64, whatever names led there.
    pub per_address_max: usize,
    /// Fetches in flight altogether.
    pub in_flight_max: usize,
    /// Value of the `User-Agent` header.
    pub user_agent: String,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allow_private_urls: false,
            // A far host answers a SYN in 0.3 s, and with TLS in four round trips.
            connect_timeout: Duration::from_secs(4),
            // A slower page is of no use to those who read the message now.
            total_timeout: Duration::from_secs(10),
            // A third of the whole: who waits longer had better come again than hold a worker.
            turn_timeout: Duration::from_secs(3),
            // Browsers follow 20. An honest chain is short: http to https, to www, past a shortener, past a tracker.
            redirects_max: 5,
            // Popular hosts are named often; a host that hangs must not hold more than this of `in_flight_max`.
            per_host_max: 4,
            // A delivery network serves many names from one address; a wildcard name must not be a way around `per_host_max`.
            per_address_max: 16,
            // 64 bodies of a megabyte, twice (compressed and not), are the memory that this may take.
            in_flight_max: 64,
            user_agent: concat!(
                "teamlog-bot/",
                env!("CARGO_PKG_VERSION"),
                " (fetches a page once when a person or an app posts its link)"
            )
            .into(),
        }
    }
}

/// Bytes of a URL. Longer ones are refused; browsers and servers agree on about this much.
pub(crate) const URL_BYTES_MAX: usize = 8_192;
/// Bytes of a response's head. Twice what common servers accept, for hosts that set many cookies.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a response.
pub(crate) const HEADERS_MAX: usize = 128;
/// Addresses of a host that are tried, in the order of the lookup.
pub(crate) const ADDRESSES_MAX: usize = 4;
/// Lookups that run at once. Each holds a thread until the system's resolver gives up, which no timeout here can shorten.
pub(crate) const LOOKUPS_MAX: usize = 32;
/// The longest `Retry-After` that is believed.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
