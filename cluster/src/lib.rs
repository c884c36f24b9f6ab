//! The cluster: which processes share a log, what each of them does, how one calls another, and their shared secrets.
//!
//! Read in this order: [`Nodes`] (heartbeats and the table built from them), [`Membership`] (placement, a pure function of
//! that table), [`Clock`], [`Secrets`], [`Link`] and [`Internal`] (client and server of a call between nodes).

mod http;
mod nodes;
mod random;
mod secrets;

pub use http::{Carrier, Internal, Link, LinkError, StatusCode};
pub use nodes::{CLOCK_BOUND, Clock, JoinError, Membership, NodeParts, Nodes, Peer, Role, SILENT_AFTER, until_gone};
pub use random::Random;
pub use secrets::{InvalidKeys, Secrets, hash as token_hash, team_named_by};
