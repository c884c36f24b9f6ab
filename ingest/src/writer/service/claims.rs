//! Taking the partition over: asking for its end, claiming, and what becomes of the records in flight when an epoch ends.

use std::{collections::HashMap, time::Duration};

use teamlog_log::{Appended, LogError, NewRecord, Offset, Stamp, claim_value};
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Done, PAUSE, PendingOf, Role, Service, Settled};
use crate::{NotAccepted, writer::Fold};

/// What the pause before a claim doubles up to: spread, it stays below five seconds.
const PAUSE_MAX: Duration = Duration::from_millis(1600);
/// Whoever was not superseded for so long starts from the shortest pause again: two writers of a partition come to take
/// turns of seconds, and one that was taken over once does not pay for it later.
const UNCHALLENGED: Duration = Duration::from_secs(30);

impl<F: Fold> Service<F> {
    /// Goes by whether this node is chosen. Who is chosen and does not write asks for the end, and claims there. Who writes
    /// and is chosen no longer writes on until the chosen one's claim counts, or its own epoch is over: so nobody waits for a
    /// hand-over longer than for that claim. Who neither writes nor is chosen stands by.
    pub(super) fn take_the_role_it_should_have(&mut self) {
        let is_chosen = *self.chosen.borrow_and_update();
        match self.role {
            Role::StandingBy if is_chosen => self.ask_for_end(),
            Role::Opening { .. } | Role::Claiming { .. } | Role::Pausing { .. } if !is_chosen => self.stand_by(),
            _ => {}
        }
    }

    /// What waits is for the chosen one. What is in flight stays: its claim will tell what became of that.
    fn stand_by(&mut self) {
        self.role = Role::StandingBy;
        self.turn_away(NotAccepted::NotOwner);
    }

    pub(super) fn ask_for_end(&mut self) {
        self.asks += 1;
        let ask = self.asks;
        self.role = Role::Opening { ask, end: None };
        let (log, source, done) = (self.log.clone(), self.source, self.done.clone());
        tokio::spawn(async move {
            let end = log.end(source).await;
            let _ = done.send(Done::End { ask, end });
        });
    }

    /// Only the answer to the newest ask counts, while it is waited for: others may have written behind an earlier one's end.
    pub(super) fn on_end(&mut self, ask: u64, answered: Result<Offset, LogError>) {
        let Role::Opening { ask: newest, end } = &mut self.role else { return };
        if *newest != ask {
            return;
        }
        match answered {
            Ok(answered) => {
                *end = Some(answered);
                self.claim_once_at_end();
            }
            Err(why) => {
                warn!(partition = %self.source, %why, "the end of a partition is not known");
                self.pause_or_stand_by();
            }
        }
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

    /// Every way to a claim anew begins here: who is chosen claims after a pause, who is not leaves that to who is.
    pub(super) fn pause_or_stand_by(&mut self) {
        if !*self.chosen.borrow() {
            return self.stand_by();
        }
        self.role = Role::Pausing { until: Instant::now() + spread(self.pause, self.config.random.next()) };
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn was_challenged(&self) -> bool {
        self.superseded.is_some_and(|at| at.elapsed() < UNCHALLENGED)
    }

    pub(super) fn claim_once_at_end(&mut self) {
        if !matches!(self.role, Role::Opening { end: Some(end), .. } if self.position.offset >= end) {
            return;
        }
        if !*self.chosen.borrow() {
            // It will be told in a moment.
            self.stand_by();
        } else if self.config.clock.may_claim() {
            self.claim();
        } else {
            metrics::counter!("teamlog_writer_clock_refusals_total").increment(1);
            self.pause_or_stand_by();
        }
    }

    pub(super) fn on_claim(&mut self, epoch: u64, claim: Uuid) {
        self.newest = epoch;
        match self.role {
            Role::Opening { .. } => {}
            Role::StandingBy => {
                self.settle();
                self.turn_away(NotAccepted::NotOwner);
            }
            Role::Claiming { claim: mine, .. } if mine == claim => {
                // Whatever was in flight before lies below this claim, so its fate is known and the log has it.
                self.settle();
                for mut settled in std::mem::take(&mut self.settled) {
                    settled.pending.answer(self.acked(settled.event, settled.seen_at, false));
                }
                self.epoch = epoch;
                self.appends = 0;
                self.role = Role::Leading { next_seq: 0 };
                if !self.was_challenged() {
                    self.pause = PAUSE;
                }
                info!(partition = %self.source, epoch, "this node writes the partition");
            }
            _ if !*self.chosen.borrow() => {
                info!(partition = %self.source, epoch, "this node handed the partition over");
                self.settle();
                self.stand_by();
            }
            _ => {
                warn!(partition = %self.source, epoch, "another writer claimed the partition");
                metrics::counter!("teamlog_writer_superseded_total").increment(1);
                self.settle();
                if !self.was_challenged() {
                    self.pause = PAUSE;
                }
                self.superseded = Some(Instant::now());
                self.pause_or_stand_by();
            }
        }
    }

    /// The epoch is over: what counted waits for its acknowledgement, the rest never will count and is decided anew.
    pub(super) fn settle(&mut self) {
        let mut again: HashMap<F::Lane, Vec<PendingOf<F>>> = HashMap::new();
        self.unsent.clear();
        for record in self.in_flight.drain().collect::<Vec<_>>() {
            for (answer, mut pending) in record.riders {
                match record.counted {
                    Some(position) => pending.answer(answer.at(position)),
                    None => again.entry(self.fold.lane(&pending.request)).or_default().push(pending),
                }
            }
            match (record.event, record.counted) {
                (Some((_, event, mut pending)), Some(seen_at)) if record.acked => {
                    pending.answer(self.acked(event, seen_at, false));
                }
                (Some((_, event, pending)), Some(seen_at)) => {
                    self.settled.push(Settled { epoch: self.epoch, seq: record.seq, event, pending, seen_at });
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

impl<F: Fold> Service<F> {
    /// What the log says of records of an epoch that is over: what counts and is acknowledged by now is answered.
    pub(super) fn on_late_outcomes(&mut self, epoch: u64, first_seq: u64, outcomes: &[Appended]) {
        let is_acked = |settled: &mut Settled<F>| {
            let place = settled.seq.checked_sub(first_seq).and_then(|place| usize::try_from(place).ok());
            let outcome = place.filter(|_| settled.epoch == epoch).and_then(|place| outcomes.get(place));
            matches!(outcome, Some(Appended::At(_)))
        };
        for mut settled in self.settled.extract_if(.., is_acked).collect::<Vec<_>>() {
            settled.pending.answer(self.acked(settled.event, settled.seen_at, false));
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
