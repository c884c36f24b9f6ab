//! Calls between nodes: the listener of a role, and the link to other nodes.
//!
//! Plain HTTP/2 on the cluster's private network. Each request carries a key that is derived from the cluster's key. A
//! request without it, or from a node of another cluster, is rejected.

mod link;
mod listener;

/// The status of a response, as [`Carrier`] returns it.
pub use axum::http::StatusCode;
pub use link::{Carrier, Link, LinkError};
pub use listener::Internal;

/// The header that carries the key of a call between nodes.
const KEY_HEADER: &str = "teamlog-internal";
