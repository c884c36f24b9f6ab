//! What can be wrong between two parts, and with whom it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// How late everything is, each way, where it is [`Trouble::Delayed`].
pub(super) const DELAY: Duration = Duration::from_millis(300);

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

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// They go on.
    Free,
    /// They go on, so much later.
    Late(Duration),
    /// They wait.
    Held,
    /// They vanish.
    Lost,
}

/// Who has trouble with whom.
pub(super) type State = Option<Arc<Between>>;

#[derive(Debug)]
pub(super) struct Between {
    pub(super) callers: Vec<String>,
    pub(super) parts: Vec<String>,
    pub(super) trouble: Trouble,
    /// Somebody has had it.
    pub(super) met: AtomicBool,
}

/// Who called whom, and what is wrong between the two.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) caller: String,
    pub(super) part: String,
    pub(super) state: watch::Receiver<State>,
}

impl Pair {
    /// What is wrong now. From here on that counts as met.
    pub(super) fn meet(&self) -> Option<Trouble> {
        let state = self.state.borrow();
        let between = self.concerned(&state)?;
        between.met.store(true, Ordering::Relaxed);
        Some(between.trouble)
    }

    /// Ends once what is wrong is as it is wanted; for ever, where the network is gone.
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
