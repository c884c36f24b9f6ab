//! Taking the partition over: asking for its end, claiming, and what becomes of the records in flight when an epoch ends.

use std::{collections::HashMap, time::Duration};

use teamlog_log::{NewRecord, Stamp, claim_value};
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Done, PAUSE, PendingOf, Role, Service, seen_at};
use crate::writer::Fold;

/// What the pause before a claim doubles up to: spread, it stays below five seconds.
const PAUSE_MAX: Duration = Duration::from_millis(1600);
/// Whoever was not superseded for so long starts from the shortest pause again: two writers of a partition come to take
/// turns of seconds, and one that was taken over once does not pay for it later.
const UNCHALLENGED: Duration = Duration::from_secs(30);

impl<F: Fold> Service<F> {
    pub(super) fn ask_for_end(&mut self) {
        self.role = Role::Opening { end: None };
        let (log, source, done) = (self.log.clone(), self.source, self.done.clone());
        tokio::spawn(async move {
            let end = log.end(source).await;
            let _ = done.send(Done::End(end));
        });
    }

    pub(super) fn claim(&mut self) {
        let claim = Uuid::new_v4();
        let log_id = if self.position.log_id.is_nil() { Uuid::new_v4() } else { self.position.log_id };
        let record = NewRecord {
            key: None,
            value: Some(claim_value(&self.config.node.to_string(), self.config.clock.now().micros())),
            stamp: Stamp::Claim { epoch: self.newest + 1, claim, log_id },
            writer: Some(self.writer.clone()),
            traceparent: None,
        };
        self.role = Role::Claiming { claim, since: Instant::now() };
        let (append, done) = (self.log.append(self.source, vec![record]), self.done.clone());
        tokio::spawn(async move {
            let outcome = append.await.pop();
            let _ = done.send(Done::Claimed { claim, outcome });
        });
    }

    pub(super) fn pause(&mut self) {
        self.role = Role::Pausing { until: Instant::now() + spread(self.pause, self.config.random.next()) };
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn was_challenged(&self) -> bool {
        self.superseded.is_some_and(|at| at.elapsed() < UNCHALLENGED)
    }

    pub(super) fn claim_once_at_end(&mut self) {
        if matches!(self.role, Role::Opening { end: Some(end) } if self.position.offset >= end) {
            if self.config.clock.may_claim() {
                self.claim();
            } else {
                metrics::counter!("teamlog_writer_clock_refusals_total").increment(1);
                self.pause();
            }
        }
    }

    pub(super) fn on_claim(&mut self, epoch: u64, claim: Uuid) {
        self.newest = epoch;
        match self.role {
            Role::Opening { .. } => {}
            Role::Claiming { claim: mine, .. } if mine == claim => {
                // Whatever was in flight before lies below this claim, so its fate is known and the log has it.
                self.settle();
                for (_, event, mut pending, seen_at) in std::mem::take(&mut self.settled) {
                    pending.answer(self.acked(event, seen_at, false));
                }
                self.epoch = epoch;
                self.role = Role::Leading { next_seq: 0 };
                if !self.was_challenged() {
                    self.pause = PAUSE;
                }
                info!(partition = %self.source, epoch, "this node writes the partition");
            }
            _ => {
                warn!(partition = %self.source, epoch, "another writer claimed the partition");
                metrics::counter!("teamlog_writer_superseded_total").increment(1);
                self.settle();
                if !self.was_challenged() {
                    self.pause = PAUSE;
                }
                self.superseded = Some(Instant::now());
                self.pause();
            }
        }
    }

    /// The epoch is over: what counted waits for its acknowledgement, the rest never will count and is decided anew.
    pub(super) fn settle(&mut self) {
        let mut again: HashMap<F::Lane, Vec<PendingOf<F>>> = HashMap::new();
        for record in self.in_flight.drain().collect::<Vec<_>>() {
            for (answer, mut pending) in record.riders {
                match record.counted {
                    Some(position) => pending.answer(seen_at(answer, position)),
                    None => again.entry(self.fold.lane(&pending.request)).or_default().push(pending),
                }
            }
            match (record.event, record.counted) {
                (Some((lane, event, pending)), Some(position)) => {
                    self.settled.push((lane, event, pending, position));
                }
                (Some((lane, _, pending)), None) => again.entry(lane).or_default().push(pending),
                (None, _) => {}
            }
        }
        for (_, pending) in std::mem::take(&mut self.riders) {
            again.entry(self.fold.lane(&pending.request)).or_default().push(pending);
        }
        self.generation += 1;
        self.early.clear();
        self.lanes.reset();
        for (lane, pendings) in again {
            // An answer at the deadline may have come before: then there is nobody to decide for.
            for mut pending in pendings.into_iter().rev().filter(|pending| pending.reply.is_some()) {
                pending.facts = None;
                self.lanes.lane(lane).queue.push_front(pending);
            }
            self.lanes.wake(lane);
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
