//! The faults between two parts, and the pairs that they affect.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// The delay of all bytes in each direction under [`Trouble::Delayed`].
pub(super) const DELAY: Duration = Duration::from_millis(300);

/// A fault between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Open connections are reset, and so are new ones.
    Cut,
    /// All bytes arrive 300 ms late, in each direction.
    Delayed,
    /// All bytes in this direction are lost. The other direction works, and connections stay open. Connections that lost
    /// bytes are reset once the trouble ends.
    OneWay(Direction),
    /// No byte passes and nothing is closed. New connections are accepted and get no answer. All bytes arrive at the end.
    HalfOpen,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the caller to the part.
    Calls,
    /// From the part to the caller.
    Answers,
}

impl Trouble {
    pub(super) fn course(self, direction: Direction) -> Course {
        match self {
            Trouble::Delayed => Course::Late(DELAY),
            Trouble::OneWay(lost) if lost == direction => Course::Lost,
            Trouble::HalfOpen => Course::Held,
            // Connections that are cut carry nothing any more.
            Trouble::OneWay(_) | Trouble::Cut => Course::Free,
        }
    }
}

/// The ports of one part and of its proxy.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The part's name.
    pub(crate) part: String,
    /// The proxy's port, at which the roles call the part.
    pub(crate) link: u16,
    /// The part's own port.
    pub(crate) port: u16,
}

/// The fate of bytes in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Forwarded at once.
    Free,
    /// Forwarded after this delay.
    Late(Duration),
    /// Held back until the trouble ends.
    Held,
    /// Dropped.
    Lost,
}

/// The current trouble, and the pairs that it affects; none if the network works.
pub(super) type State = Option<Arc<Between>>;

#[derive(Debug)]
pub(super) struct Between {
    pub(super) callers: Vec<String>,
    pub(super) parts: Vec<String>,
    pub(super) trouble: Trouble,
    /// True once the trouble has affected a connection.
    pub(super) met: AtomicBool,
}

/// A caller, the part that it called, and the state of the network between them.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) caller: String,
    pub(super) part: String,
    pub(super) state: watch::Receiver<State>,
}

impl Pair {
    /// Returns the current trouble of this pair, and marks it as met.
    pub(super) fn meet(&self) -> Option<Trouble> {
        let state = self.state.borrow();
        let between = self.concerned(&state)?;
        between.met.store(true, Ordering::Relaxed);
        Some(between.trouble)
    }

    /// Waits until the trouble of this pair is as wanted. Never returns if the network is gone.
    pub(super) async fn until(&self, is_wanted: impl Fn(Option<Trouble>) -> bool) {
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
