//! The network between the parts of a cluster, and its faults. Each part has a proxy, through which all roles call it.
//! `whose.rs` finds the caller of a connection, because a broker gives all clients one address, and so does a node.
//! `link.rs` is a proxy and its connections, `carry.rs` one direction of one connection.
//!
//! Bytes are delayed or held back, but a stream never loses bytes and then continues: TCP would not do that. In one point a
//! proxy differs from a network: a connection to an unavailable part is not refused, but accepted and then reset.

mod carry;
mod link;
#[cfg(test)]
mod tests;
mod trouble;
mod whose;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{runtime::Handle, sync::watch};

use link::Link;
pub(crate) use trouble::Place;
use trouble::{Between, State};
pub use trouble::{Direction, Trouble};
use whose::Callers;

/// The proxies of a cluster.
pub(crate) struct Network {
    state: watch::Sender<State>,
}

impl Network {
    /// Opens the proxies, for calls of these processes. `pids` is a folder with a file for each: its name, and its pid.
    ///
    /// # Panics
    /// If a port is taken.
    pub(crate) fn open(runtime: &Handle, pids: &Path, callers: &[&str], places: Vec<Place>) -> Network {
        let network = Network { state: watch::Sender::new(None) };
        let callers = Arc::new(Callers::new(pids, callers));
        let _inside = runtime.enter();
        for place in places {
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, place.link));
            let listener = TcpListener::bind(at).unwrap_or_else(|why| panic!("the proxy of {place:?}: {why}"));
            listener.set_nonblocking(true).expect("a socket can be told not to block");
            let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes a listener");
            runtime.spawn(Link::new(place, callers.clone(), network.state.subscribe()).serve(listener));
        }
        network
    }

    /// Disturbs the connections between each of the callers and each of the parts, until the returned guard is dropped.
    ///
    /// # Panics
    /// If the network is disturbed already.
    pub(crate) fn disturb(&self, callers: &[String], parts: &[String], trouble: Trouble) -> Disturbed<'_> {
        let met = AtomicBool::new(false);
        let between = Arc::new(Between { callers: callers.to_vec(), parts: parts.to_vec(), trouble, met });
        let before = self.state.send_replace(Some(between.clone()));
        assert!(before.is_none(), "one trouble at a time: {before:?}");
        Disturbed { network: self, between }
    }
}

/// A guard of the trouble. Dropping it ends the trouble.
#[must_use]
pub struct Disturbed<'a> {
    network: &'a Network,
    between: Arc<Between>,
}

impl Disturbed<'_> {
    /// Returns true if the trouble has affected a connection.
    pub fn was_met(&self) -> bool {
        self.between.met.load(Ordering::Relaxed)
    }
}

impl Drop for Disturbed<'_> {
    fn drop(&mut self) {
        self.network.state.send_replace(None);
    }
}
