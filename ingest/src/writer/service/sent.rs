//! The decided commands that are not answered yet: records in flight, and answers that wait for a record.

use std::sync::Arc;

use teamlog_log::{Appended, NewRecord, Position};
use teamlog_schemas::Event;
use tokio::time::Instant;

use crate::{
    Answer, NotAccepted,
    writer::{Decider, inflight::Queue, lanes::PendingOf},
};

/// A record of an epoch that is over. It counts, and is not acknowledged yet.
pub(super) struct Settled<F: Decider> {
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) event: Arc<Event>,
    pub(super) pending: PendingOf<F>,
    pub(super) seen_at: Position,
}

/// All that waits for the log.
pub(super) struct Sent<F: Decider> {
    /// Records of the present epoch, oldest first.
    pub(super) in_flight: Queue<F::Lane, F::Request, F::Facts>,
    /// The newest of these records, which were not handed to the log yet.
    pub(super) unsent: Vec<NewRecord>,
    /// This epoch's appends that are under way.
    pub(super) appends: usize,
    /// Answers that wait for the next record.
    pub(super) riders: Vec<(Answer, PendingOf<F>)>,
    /// Counted, but neither acknowledged by the log nor followed by a record of ours yet.
    pub(super) settled: Vec<Settled<F>>,
}

impl<F: Decider> Sent<F> {
    pub(super) fn new() -> Sent<F> {
        Sent { in_flight: Queue::default(), unsent: Vec::new(), appends: 0, riders: Vec::new(), settled: Vec::new() }
    }

    /// Whether every record has its answer.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.settled.is_empty()
    }

    /// Answers the expired commands: "unknown" for a record in flight, "not accepted" (`why`) for an answer that
    /// waits for one.
    pub(super) fn expire(&mut self, now: Instant, why: NotAccepted) {
        for record in self.in_flight.iter_mut() {
            if let Some((_, _, pending)) = record.event.as_mut().filter(|(_, _, pending)| pending.deadline <= now) {
                pending.answer(Answer::Unknown);
            }
            for (_, pending) in record.riders.iter_mut().filter(|(_, pending)| pending.deadline <= now) {
                pending.turn_away(why);
            }
        }
        for settled in self.settled.iter_mut().filter(|settled| settled.pending.deadline <= now) {
            settled.pending.answer(Answer::Unknown);
        }
        self.settled.retain(|settled| settled.pending.reply.is_some());
    }

    /// Removes and returns the settled records that these outcomes of an ended epoch acknowledge.
    pub(super) fn acknowledged(&mut self, epoch: u64, first_seq: u64, outcomes: &[Appended]) -> Vec<Settled<F>> {
        let is_acked = |settled: &mut Settled<F>| {
            let place = settled.seq.checked_sub(first_seq).and_then(|place| usize::try_from(place).ok());
            let outcome = place.filter(|_| settled.epoch == epoch).and_then(|place| outcomes.get(place));
            matches!(outcome, Some(Appended::At(_)))
        };
        self.settled.extract_if(.., is_acked).collect()
    }

    /// Answers everything as far as its outcome is known, without waiting for the log any longer.
    pub(super) fn give_up(&mut self, why: NotAccepted) {
        for record in self.in_flight.drain().collect::<Vec<_>>() {
            if let Some((_, _, mut pending)) = record.event {
                pending.answer(Answer::Unknown);
            }
            for (_, mut pending) in record.riders {
                pending.turn_away(why);
            }
        }
        for mut settled in self.settled.drain(..) {
            settled.pending.answer(Answer::Unknown);
        }
    }
}
