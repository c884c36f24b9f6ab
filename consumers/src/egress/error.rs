//! Why a fetch failed, and whether another try can help.

use std::time::Duration;

/// Failure of a fetch. None of them carries anything that the other side sent, so a text of it may be kept and shown to
/// operators. It may name internal addresses by class, so it is not for users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The URL itself is not one that is fetched.
    #[error("refused url: {0}")]
    RefusedUrl(&'static str),
    /// The host's address, or one of them, is not one that may be connected to.
    #[error("refused address: {0}")]
    RefusedAddress(&'static str),
    /// More redirects than are followed.
    #[error("too many redirects")]
    TooManyRedirects,
    /// The name does not exist, or has no address.
    #[error("no such host")]
    NoSuchHost,
    /// The name servers did not answer.
    #[error("name lookup failed")]
    LookupFailed,
    /// No address of the host accepted a connection.
    #[error("connection failed")]
    ConnectFailed,
    /// The host's certificate was not accepted, or it does not speak TLS.
    #[error("tls handshake failed")]
    TlsFailed,
    /// The connection broke, or what came is not HTTP within its bounds.
    #[error("broken response")]
    BrokenResponse,
    /// The response is compressed in a way that was not asked for, or its compression is broken.
    #[error("unreadable content encoding")]
    BadEncoding,
    /// The whole fetch took longer than it may.
    #[error("timed out")]
    TimedOut,
    /// Too many fetches are in flight, of this host or altogether, and this one did not get its turn in time.
    #[error("too many requests in flight")]
    Busy,
    /// A status other than success. `retry_after` is what the host asked for, if it did.
    #[error("status {status}")]
    Status {
        /// HTTP status code.
        status: u16,
        /// From `Retry-After`, in seconds there; a date is not read.
        retry_after: Option<Duration>,
    },
}

impl EgressError {
    /// True if the cause may pass by itself: the host is down, slow, overloaded, or its name servers are.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::LookupFailed | Self::ConnectFailed | Self::BrokenResponse | Self::TimedOut | Self::Busy => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::RefusedUrl(_)
            | Self::RefusedAddress(_)
            | Self::TooManyRedirects
            | Self::NoSuchHost
            | Self::TlsFailed
            | Self::BadEncoding => false,
        }
    }

    /// How long the host asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
