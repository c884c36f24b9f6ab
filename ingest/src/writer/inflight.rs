//! The records in flight: decided and not answered yet.

use std::{collections::VecDeque, sync::Arc};

use teamlog_log::Position;
use teamlog_schemas::Event;

use super::lanes::Pending;
use crate::Answer;

/// A record of the present epoch, on its way or about to be.
pub(super) struct InFlight<L, R, F> {
    pub(super) seq: u64,
    /// None for a barrier.
    pub(super) event: Option<(L, Arc<Event>, Pending<R, F>)>,
    /// Answers of commands that appended nothing and were decided before this record was appended.
    pub(super) riders: Vec<(Answer, Pending<R, F>)>,
    /// The position after it, once it was read back as counting.
    pub(super) counted: Option<Position>,
    /// The log acknowledged it.
    pub(super) acked: bool,
}

/// The queue of one epoch, in `seq` order.
pub(super) struct Queue<L, R, F> {
    records: VecDeque<InFlight<L, R, F>>,
}

impl<L, R, F> Default for Queue<L, R, F> {
    fn default() -> Self {
        Queue { records: VecDeque::new() }
    }
}

impl<L: Copy + Eq, R, F> Queue<L, R, F> {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn push(&mut self, record: InFlight<L, R, F>) {
        self.records.push_back(record);
    }

    /// The record of this `seq`.
    pub(super) fn get_mut(&mut self, seq: u64) -> Option<&mut InFlight<L, R, F>> {
        let first = self.records.front()?.seq;
        self.records.get_mut(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// The oldest record, if it both counts and is acknowledged.
    pub(super) fn pop_done(&mut self) -> Option<InFlight<L, R, F>> {
        let done = self.records.front().is_some_and(|record| record.acked && record.counted.is_some());
        if done { self.records.pop_front() } else { None }
    }

    /// Everything, oldest first: the epoch is over.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = InFlight<L, R, F>> + '_ {
        self.records.drain(..)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut InFlight<L, R, F>> {
        self.records.iter_mut()
    }

    /// The events of a lane that have not been read back yet, oldest first.
    pub(super) fn uncounted(&self, lane: L) -> impl Iterator<Item = &Arc<Event>> {
        self.records
            .iter()
            .filter(|record| record.counted.is_none())
            .filter_map(move |record| record.event.as_ref().filter(|(of, ..)| *of == lane).map(|(_, event, _)| event))
    }

    /// Whether this event is among those not read back yet.
    pub(super) fn holds(&self, lane: L, event: &Arc<Event>) -> bool {
        let id = event.meta().map(|meta| meta.event_id);
        self.uncounted(lane).any(|one| one.meta().map(|meta| meta.event_id) == id)
    }
}
