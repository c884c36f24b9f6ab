//! Taking the partition over: asking for its end, claiming, and what becomes of the records in flight when an epoch ends.

use std::collections::HashMap;

use teamlog_log::{LogError, NewRecord, Offset, Stamp, claim_value};
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Done, PendingOf, Service, sent::Settled, tenure::Phase};
use crate::{NotAccepted, writer::Decider};

impl<F: Decider> Service<F> {
    /// Changes the phase by whether this node is chosen. A chosen writer that does not lead asks for the end and
    /// claims there. A leading writer that is no longer chosen goes on until the chosen node's claim counts, or until its
    /// own epoch is over: so a hand-over makes commands wait for that claim only.
    /// A writer that neither leads nor is chosen stands by.
    pub(super) fn take_the_role_it_should_have(&mut self) {
        let is_chosen = self.tenure.is_chosen_now();
        match self.tenure.phase {
            Phase::StandingBy if is_chosen => self.ask_for_end(),
            Phase::Opening { .. } | Phase::Claiming { .. } | Phase::Pausing { .. } if !is_chosen => self.stand_by(),
            _ => {}
        }
    }

    /// Stands by. Waiting commands are turned away to the chosen node. Records in flight stay: the chosen node's claim
    /// decides their outcome.
    fn stand_by(&mut self) {
        self.tenure.phase = Phase::StandingBy;
        self.turn_away(NotAccepted::NotOwner);
    }

    pub(super) fn ask_for_end(&mut self) {
        let ask = self.tenure.open();
        let (log, source, done) = (self.feed.log().clone(), self.source, self.done.clone());
        tokio::spawn(async move {
            let end = log.end(source).await;
            let _ = done.send(Done::End { ask, end });
        });
    }

    /// Takes the answer to the newest ask, and ignores others: other writers may have appended after an earlier answer.
    pub(super) fn on_end(&mut self, ask: u64, answered: Result<Offset, LogError>) {
        let Phase::Opening { ask: newest, end } = &mut self.tenure.phase else { return };
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
            stamp: Stamp::Claim { epoch: self.tenure.newest + 1, claim, log_id },
            writer: Some(self.writer.clone()),
            traceparent: None,
        };
        self.tenure.phase = Phase::Claiming { claim, since: Instant::now() };
        let (append, done) = (self.feed.log().append(self.source, vec![record]), self.done.clone());
        tokio::spawn(async move {
            let outcome = append.await.pop();
            let _ = done.send(Done::Claimed { claim, outcome });
        });
    }

    /// Pauses before a new claim if this node is chosen, and stands by if not. Every new claim begins here.
    pub(super) fn pause_or_stand_by(&mut self) {
        if !self.tenure.is_chosen() {
            return self.stand_by();
        }
        self.tenure.wait(self.config.random.next());
    }

    pub(super) fn claim_once_at_end(&mut self) {
        if !matches!(self.tenure.phase, Phase::Opening { end: Some(end), .. } if self.position.offset >= end) {
            return;
        }
        if !self.tenure.is_chosen() {
            // The change of `chosen` is about to arrive.
            self.stand_by();
        } else if self.config.clock.may_claim() {
            self.claim();
        } else {
            metrics::counter!("teamlog_writer_clock_refusals_total").increment(1);
            self.pause_or_stand_by();
        }
    }

    pub(super) fn on_claim(&mut self, epoch: u64, claim: Uuid) {
        self.tenure.newest = epoch;
        match self.tenure.phase {
            Phase::Opening { .. } => {}
            Phase::StandingBy => {
                self.settle();
                self.turn_away(NotAccepted::NotOwner);
            }
            Phase::Claiming { claim: mine, .. } if mine == claim => {
                // All records that were in flight are before this claim or will never count, so their outcome is known.
                // Those that counted are in the log for good.
                self.settle();
                for mut settled in std::mem::take(&mut self.sent.settled) {
                    settled.pending.answer(self.acked(settled.event, settled.seen_at, false));
                }
                self.sent.appends = 0;
                self.tenure.lead(epoch);
                info!(partition = %self.source, epoch, "this node writes the partition");
            }
            _ if !self.tenure.is_chosen() => {
                info!(partition = %self.source, epoch, "this node handed the partition over");
                self.settle();
                self.stand_by();
            }
            _ => {
                warn!(partition = %self.source, epoch, "another writer claimed the partition");
                metrics::counter!("teamlog_writer_superseded_total").increment(1);
                self.settle();
                self.tenure.was_superseded();
                self.pause_or_stand_by();
            }
        }
    }

    /// Ends the epoch. Records that counted wait for their acknowledgement; the others will never count, and their commands
    /// are decided anew.
    pub(super) fn settle(&mut self) {
        let mut again: HashMap<F::Lane, Vec<PendingOf<F>>> = HashMap::new();
        self.sent.unsent.clear();
        for record in self.sent.in_flight.drain().collect::<Vec<_>>() {
            for (answer, mut pending) in record.riders {
                match record.counted {
                    Some(position) => pending.answer(answer.at(position)),
                    None => again.entry(self.decider.lane(&pending.request)).or_default().push(pending),
                }
            }
            match (record.event, record.counted) {
                (Some((_, event, mut pending)), Some(seen_at)) if record.acked => {
                    pending.answer(self.acked(event, seen_at, false));
                }
                (Some((_, event, pending)), Some(seen_at)) => {
                    self.sent.settled.push(Settled {
                        epoch: self.tenure.epoch,
                        seq: record.seq,
                        event,
                        pending,
                        seen_at,
                    });
                }
                (Some((lane, _, pending)), None) => again.entry(lane).or_default().push(pending),
                (None, _) => {}
            }
        }
        for (_, pending) in std::mem::take(&mut self.sent.riders) {
            again.entry(self.decider.lane(&pending.request)).or_default().push(pending);
        }
        self.lookups.generation += 1;
        self.lookups.early.clear();
        self.lanes.reset();
        for (lane, pendings) in again {
            // A command that was answered at its deadline is not decided again.
            for mut pending in pendings.into_iter().rev().filter(|pending| pending.reply.is_some()) {
                pending.facts = None;
                self.lanes.lane(lane).queue.push_front(pending);
            }
            self.lanes.wake(lane);
        }
    }
}
