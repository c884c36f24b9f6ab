//! Between nodes: the listener of a role, and the link to others.
//!
//! Plain HTTP/2 on a network of the cluster's own. What is asked carries a key that derives from the cluster's, so that no
//! other cluster's node, and nobody without the key, is answered.

mod link;
mod listener;

/// The status of an answer, as [`Carrier`] gives it.
pub use axum::http::StatusCode;
pub use link::{Carrier, Link, LinkError};
pub use listener::Internal;

/// Carries the key of a call between nodes.
const KEY_HEADER: &str = "teamlog-internal";
