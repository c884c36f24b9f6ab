//! What goes between the parts of a cluster, and what can go wrong with it. Before each part stands a proxy, where all roles
//! call it; who calls is told apart by `whose.rs`, because a broker tells all of its clients one address and a node all other
//! nodes. `link.rs` is one proxy and its connections, `carry.rs` one direction of one of them.
//!
//! Bytes are delayed and held back, but a stream never loses some of its bytes and goes on: TCP would not. Where a proxy
//! differs from a network: a part that is away is not refused but accepted and reset.

mod carry;
mod link;
#[cfg(test)]
mod tests;
mod whose;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};

use carry::Course;
use link::Link;
use whose::Callers;

/// How late everything is, each way, where it is [`Trouble::Delayed`].
const DELAY: Duration = Duration::from_millis(300);

/// What is wrong between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Connections are reset, and new ones too.
    Cut,
    /// Everything arrives 300 ms late, each way.
    Delayed,
    /// Everything in this direction vanishes, the other direction flows, and connections stay open. Those that have lost
    /// something are reset once the trouble is over.
    OneWay(Direction),
    /// Nothing flows and nothing is closed; who connects is accepted and hears nothing. It all arrives once the trouble is over.
    HalfOpen,
}

/// One of a connection's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From who called.
    Calls,
    /// To who called.
    Answers,
}

impl Trouble {
    fn course(self, direction: Direction) -> Course {
        match self {
            Trouble::Delayed => Course::Late(DELAY),
            Trouble::OneWay(lost) if lost == direction => Course::Lost,
            Trouble::HalfOpen => Course::Held,
            // Connections that are cut carry nothing any more.
            Trouble::OneWay(_) | Trouble::Cut => Course::Free,
        }
    }
}

/// Where one part listens, and the proxy before it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) part: String,
    /// The port at which it is called.
    pub(crate) link: u16,
    /// Its own.
    pub(crate) port: u16,
}

/// The proxies of a cluster.
pub(crate) struct Network {
    state: watch::Sender<State>,
}

/// Who has trouble with whom.
type State = Option<Arc<Between>>;

#[derive(Debug)]
struct Between {
    callers: Vec<String>,
    parts: Vec<String>,
    trouble: Trouble,
    /// Somebody has had it.
    met: AtomicBool,
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

    /// Makes trouble between each of the callers and each of the parts that they call, until what this gives is dropped.
    ///
    /// # Panics
    /// If there is trouble already.
    pub(crate) fn disturb(&self, callers: &[String], parts: &[String], trouble: Trouble) -> Disturbed<'_> {
        let met = AtomicBool::new(false);
        let between = Arc::new(Between { callers: callers.to_vec(), parts: parts.to_vec(), trouble, met });
        let before = self.state.send_replace(Some(between.clone()));
        assert!(before.is_none(), "one trouble at a time: {before:?}");
        Disturbed { network: self, between }
    }
}

/// Trouble. It is over when this is dropped.
#[must_use]
pub struct Disturbed<'a> {
    network: &'a Network,
    between: Arc<Between>,
}

impl Disturbed<'_> {
    /// Whether it has cut off anybody, or anybody has sent something that it concerned.
    pub fn was_met(&self) -> bool {
        self.between.met.load(Ordering::Relaxed)
    }
}

impl Drop for Disturbed<'_> {
    fn drop(&mut self) {
        self.network.state.send_replace(None);
    }
}

/// Who called whom, and what is wrong between the two.
#[derive(Clone)]
struct Pair {
    caller: String,
    part: String,
    state: watch::Receiver<State>,
}

impl Pair {
    /// What is wrong now. From here on that counts as met.
    fn meet(&self) -> Option<Trouble> {
        let state = self.state.borrow();
        let between = self.concerned(&state)?;
        between.met.store(true, Ordering::Relaxed);
        Some(between.trouble)
    }

    /// Ends once what is wrong is as it is wanted; for ever, where the network is gone.
    async fn until(&self, is_wanted: impl Fn(Option<Trouble>) -> bool) {
        let mut state = self.state.clone();
        let is_wanted = |state: &State| is_wanted(self.concerned(state).map(|between| between.trouble));
        if state.wait_for(is_wanted).await.is_err() {
            std::future::pending().await
        }
    }

    fn concerned<'a>(&self, state: &'a State) -> Option<&'a Between> {
        state.as_deref().filter(|between| between.callers.contains(&self.caller) && between.parts.contains(&self.part))
    }
}
