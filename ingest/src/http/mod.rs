//! Between nodes: the listener of a role, and the link to others.
//!
//! Plain HTTP/2 on a network of the cluster's own. What is asked carries a key that derives from the cluster's, so that no
//! other cluster's node, and nobody without the key, is answered.

mod commands;
mod link;
mod listener;
mod remote;
mod wire;

#[cfg(feature = "testing")]
pub use commands::answered;
pub use commands::commands;
pub use link::{Carrier, Link, LinkError};
pub use listener::Internal;
pub use remote::RemoteWriters;

/// Carries the key of a call between nodes.
const KEY_HEADER: &str = "teamlog-internal";

/// Where an ingest node takes commands, and what is to be written to the directory.
const COMMANDS: &str = "/internal/commands";
const DIRECTORY: &str = "/internal/directory";
