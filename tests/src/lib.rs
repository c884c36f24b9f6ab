//! The base of the end to end tests: the real binary in a directory of its own, and a client of its two protocols.

mod api;
mod cluster;
mod databases;
mod limits;
mod network;
mod scripts;
mod server;
mod socket;
mod stack;
pub mod world;

pub use api::{Answer, Api, Failure};
pub use cluster::{Cluster, ROLES};
pub use limits::open_files;
pub use network::{Direction, Disturbed, Trouble};
pub use scripts::{node_modules, python};
pub use server::{Engine, Options, Server, binary};
pub use socket::{Frame, Socket};
pub use stack::{Hung, Stack};

use std::time::Duration;

/// The longest wait of a test for anything. Generous, because only a failure ever uses it up.
pub const WAIT: Duration = Duration::from_secs(60);

/// Returns a number from the environment, for runs longer than the usual ones.
///
/// # Panics
/// If the variable is not a number.
pub fn size(name: &str, usual: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|why| panic!("{name}={text}: {why}")),
        Err(_) => usual,
    }
}
