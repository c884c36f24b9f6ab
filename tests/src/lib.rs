//! What the end to end tests stand on: the real binary in a directory of its own, and a client of its two protocols.

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

/// How long anything may take that a test waits for. Generous: it is only ever used up by a failure.
pub const WAIT: Duration = Duration::from_secs(60);

/// A number from the environment, for runs that are longer than those of every day.
///
/// # Panics
/// If it is no number.
pub fn size(name: &str, usual: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|why| panic!("{name}={text}: {why}")),
        Err(_) => usual,
    }
}
