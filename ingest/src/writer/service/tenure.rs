//! This writer's tenure of its partition: its claim, and when it may claim anew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use teamlog_log::Offset;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

/// The shortest pause before a claim that follows a lost one; it doubles each time.
const PAUSE: Duration = Duration::from_millis(100);
/// The limit up to which the pause before a claim doubles. With its spread it stays below five seconds.
const PAUSE_MAX: Duration = Duration::from_millis(1600);
/// A writer that was not superseded for this long starts from the shortest pause again. So two competing writers take turns
/// of seconds, and a single take-over has no later cost.
const UNCHALLENGED: Duration = Duration::from_secs(30);

/// Where the writer stands with its partition.
pub(super) enum Phase {
    /// Another node is chosen. This writer reads on, so that it can take over at once, and claims nothing.
    StandingBy,
    /// Reads to the end that the log had at this ask of the writer's; none while it is being asked.
    Opening { ask: u64, end: Option<Offset> },
    /// Has sent a claim and reads up to it.
    Claiming { claim: Uuid, since: Instant },
    /// Its last claim counts.
    Leading { next_seq: u64 },
    /// Waits before it claims.
    Pausing { until: Instant },
    /// A record could not be read: this writer decides and claims nothing any more, for good.
    Stopped,
}

/// This writer's tenure of its partition.
pub(super) struct Tenure {
    pub(super) phase: Phase,
    /// The newest counted claim's epoch that was read.
    pub(super) newest: u64,
    /// The epoch that the records in flight belong to.
    pub(super) epoch: u64,
    /// Counts the asks for the end, so that a late answer is known to be of an earlier one.
    asks: u64,
    pause: Duration,
    /// When another's claim was read last.
    superseded: Option<Instant>,
    /// Whether this node should write the partition.
    pub(super) chosen: watch::Receiver<bool>,
    /// The epoch that the handle reports; 0 while this writer does not lead.
    leads: Arc<AtomicU64>,
}

impl Tenure {
    /// Returns a tenure that stands by, with `newest` as the newest counted epoch. It publishes its epoch in `leads`.
    pub(super) fn new(newest: u64, chosen: watch::Receiver<bool>, leads: Arc<AtomicU64>) -> Tenure {
        Tenure { phase: Phase::StandingBy, newest, epoch: 0, asks: 0, pause: PAUSE, superseded: None, chosen, leads }
    }

    pub(super) fn is_chosen(&self) -> bool {
        *self.chosen.borrow()
    }

    /// Like [`Tenure::is_chosen`], and waits for the next change from here on.
    pub(super) fn is_chosen_now(&mut self) -> bool {
        *self.chosen.borrow_and_update()
    }

    /// Publishes the epoch to the handle.
    pub(super) fn publish(&self) {
        let leads = if matches!(self.phase, Phase::Leading { .. }) { self.epoch } else { 0 };
        self.leads.store(leads, Ordering::Relaxed);
    }

    /// Ends the tenure for good: the handle reports no epoch any more.
    pub(super) fn end(&self) {
        self.leads.store(0, Ordering::Relaxed);
    }

    /// Begins to ask for the end of the partition. Returns the number of the ask.
    pub(super) fn open(&mut self) -> u64 {
        self.asks += 1;
        self.phase = Phase::Opening { ask: self.asks, end: None };
        self.asks
    }

    /// Its claim counts.
    pub(super) fn lead(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.phase = Phase::Leading { next_seq: 0 };
        self.forget_old_challenges();
    }

    /// Another's claim counts.
    pub(super) fn was_superseded(&mut self) {
        self.forget_old_challenges();
        self.superseded = Some(Instant::now());
    }

    /// Waits before the next claim, each time longer.
    pub(super) fn wait(&mut self, random: u64) {
        self.phase = Phase::Pausing { until: Instant::now() + spread(self.pause, random) };
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn forget_old_challenges(&mut self) {
        if self.superseded.is_none_or(|at| at.elapsed() >= UNCHALLENGED) {
            self.pause = PAUSE;
        }
    }
}

/// Once to three times a pause, so that two writers that wait for the same do not claim at the same time for ever.
fn spread(pause: Duration, random: u64) -> Duration {
    pause + (pause * 2).mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_spread_over_three_times_its_length() {
        assert_eq!(spread(PAUSE, 0), Duration::from_millis(100));
        assert_eq!(spread(PAUSE, u64::MAX / 2).as_millis(), 200);
        assert_eq!(spread(PAUSE, u64::MAX), Duration::from_millis(300));
    }
}
