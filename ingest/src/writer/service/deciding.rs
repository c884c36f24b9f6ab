//! Deciding: one lane's turn after another, until a batch is full; and the facts that some commands want first.

use std::sync::Arc;

use bytes::Bytes;
use teamlog_cluster::CLOCK_BOUND;
#[cfg(feature = "testing")]
use teamlog_log::testing::{Rule, is_left_out};
use teamlog_log::{NewRecord, Stamp, barrier_value};
use teamlog_schemas::CodecError;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use super::{Done, PendingOf, Service, tenure::Phase};
use crate::{
    Answer, Decision, NotAccepted, Now, Refusal,
    writer::{
        Decider, Loaded,
        inflight::InFlight,
        lanes::{Held, QUANTUM},
    },
};

/// Records of one append at most: larger ones gain nothing (group commit is the engine's) and delay the first.
const BATCH_MAX: usize = 1024;
/// The most appends in flight; records that are decided meanwhile go with the next one. Each append has a fixed cost: its
/// task, the engine and, on Kafka, a broker. With only one in flight the log would be idle while its outcome comes back.
const APPENDS_MAX: usize = 2;
/// A `ts` further ahead of the clock than this is logged as a warning: a correct clock never gave it.
const AHEAD_MICROS: i64 = CLOCK_BOUND.as_micros() as i64;

impl<F: Decider> Service<F> {
    pub(super) fn decide(&mut self) {
        let Phase::Leading { mut next_seq } = self.tenure.phase else { return };
        let most = self.config.in_flight_max.min(self.sent.in_flight.len() + BATCH_MAX);
        while self.sent.in_flight.len() < most {
            let Some(lane) = self.lanes.next_turn() else { break };
            self.turn(lane, &mut next_seq);
        }
        if !self.sent.riders.is_empty() {
            let riders = std::mem::take(&mut self.sent.riders);
            let value = barrier_value(self.config.clock.now().micros());
            self.sent.unsent.push(self.record(None, value, next_seq, None));
            self.sent.in_flight.push(InFlight { seq: next_seq, event: None, riders, counted: None, acked: false });
            next_seq += 1;
        }
        self.tenure.phase = Phase::Leading { next_seq };
        while self.sent.appends < APPENDS_MAX && !self.sent.unsent.is_empty() {
            self.append(next_seq - self.sent.unsent.len() as u64);
        }
    }

    /// Appends the oldest decided records to the log.
    fn append(&mut self, first_seq: u64) {
        let records: Vec<_> = self.sent.unsent.drain(..self.sent.unsent.len().min(BATCH_MAX)).collect();
        self.sent.appends += 1;
        metrics::histogram!("teamlog_writer_batch_records").record(records.len() as f64);
        let (epoch, done) = (self.tenure.epoch, self.done.clone());
        let append = self.feed.log().append(self.source, records);
        tokio::spawn(async move {
            let outcomes = append.await;
            let _ = done.send(Done::Appended { epoch, first_seq, outcomes });
        });
    }

    fn record(&self, key: Option<Bytes>, value: Bytes, seq: u64, traceparent: Option<Bytes>) -> NewRecord {
        NewRecord {
            key,
            value: Some(value),
            stamp: Stamp::Seq { epoch: self.tenure.epoch, seq },
            writer: Some(self.writer.clone()),
            traceparent,
        }
    }

    /// Takes one lane's turn: decides up to a quantum of its commands.
    fn turn(&mut self, lane: F::Lane, next_seq: &mut u64) {
        let it = self.lanes.lane(lane);
        match it.state {
            Held::Loading => return,
            Held::Absent => {
                if !it.queue.is_empty() {
                    it.state = Held::Loading;
                    self.load(lane);
                }
                return;
            }
            Held::Here(_) => {}
        }
        for _ in 0..QUANTUM {
            let it = self.lanes.lane(lane);
            let Held::Here(state) = &mut it.state else { return };
            let Some(mut pending) = it.queue.pop_front() else { break };
            if pending.is_late(Instant::now()) {
                pending.turn_away(NotAccepted::Late);
                continue;
            }
            if pending.facts.is_none() {
                if it.holding.contains(&pending.actor) {
                    it.behind.entry(pending.actor).or_default().push_back(pending);
                    continue;
                }
                if self.decider.wanted(state, &pending.request).is_some() {
                    it.holding.insert(pending.actor);
                    it.wanting.push(pending);
                    continue;
                }
            }
            let facts = pending.facts.take().unwrap_or_default();
            if let Some(event) = self.decider.written(state, &facts, &pending.request) {
                let under_way = self.sent.in_flight.holds(lane, &event);
                let answer = self.acked(event, self.position, true);
                if under_way {
                    pending.may_be_done = true;
                    self.ride(answer, pending);
                } else {
                    pending.answer(answer);
                }
                continue;
            }
            let mut random = || self.config.random.next();
            let at = self.config.clock.now();
            let now = Now { at, event_id: Uuid::now_v7(), random: &mut random, secrets: &self.config.secrets };
            let decided = self.decider.decide(state, &facts, &pending.request, now).map(|decision| match decision {
                // A node that cannot read the event would stop at it, and miss all later ones.
                Decision::Event(event) => {
                    let value = event.encode_for(|schema_id| self.config.members.borrow().all_know(schema_id));
                    Ok((Arc::new(event), value))
                }
                Decision::Nothing(nothing) => Err(nothing),
            });
            match decided {
                Ok(Ok((_, Err(CodecError::NotKnown { .. })))) => {
                    pending.answer(Answer::not_accepted(NotAccepted::OtherVersion));
                }
                Ok(Ok((_, Err(_)))) => self.ride(Answer::Refused(Refusal::MsgTooLong), pending),
                Ok(Ok((event, Ok(value)))) => {
                    self.decider.apply(state, &event);
                    let ahead = event.given_ts().micros() - at.micros();
                    if ahead > AHEAD_MICROS && !std::mem::replace(&mut self.signs.ahead_said, true) {
                        warn!(partition = %self.source, ahead_seconds = ahead / 1_000_000, "messages of this partition have a ts ahead of the clock; new ones go on behind them, a microsecond each");
                    }
                    for other in it.queue.iter_mut() {
                        if let Some(facts) = &mut other.facts {
                            self.decider.apply_facts(facts, &event);
                        }
                    }
                    it.in_flight += 1;
                    let key = event.record_key().map(Bytes::from);
                    let traceparent = self.decider.traceparent(&pending.request);
                    self.sent.unsent.push(self.record(key, value, *next_seq, traceparent));
                    let riders = std::mem::take(&mut self.sent.riders);
                    let event = Some((lane, event, pending));
                    self.sent.in_flight.push(InFlight { seq: *next_seq, event, riders, counted: None, acked: false });
                    *next_seq += 1;
                }
                Ok(Err(why)) => {
                    let (partition, seen_at) = (self.source.partition, self.position);
                    self.ride(Answer::Nothing { why, partition, seen_at }, pending);
                }
                Err(refusal) => self.ride(Answer::Refused(refusal), pending),
            }
        }
        let it = self.lanes.lane(lane);
        it.used = Instant::now();
        if !it.queue.is_empty() {
            self.lanes.wake(lane);
        }
        self.read_facts(lane);
    }

    /// Makes an answer wait for the next record of this writer.
    fn ride(&mut self, answer: Answer, pending: PendingOf<F>) {
        #[cfg(feature = "testing")]
        if is_left_out(Rule::Barrier) {
            let mut pending = pending;
            return pending.answer(answer);
        }
        self.sent.riders.push((answer, pending));
    }

    fn load(&self, lane: F::Lane) {
        let (load, done, generation) =
            (self.decider.load(lane, self.position.offset), self.done.clone(), self.lookups.generation);
        tokio::spawn(async move {
            let loaded = load.await;
            let _ = done.send(Done::State { generation, lane, loaded });
        });
    }

    /// Starts to read what a lane's commands want to know, all at once, unless a read is under way.
    fn read_facts(&mut self, lane: F::Lane) {
        let it = self.lanes.lane(lane);
        let Held::Here(state) = &it.state else { return };
        if !it.reading.is_empty() || it.wanting.is_empty() {
            return;
        }
        it.reading = std::mem::take(&mut it.wanting);
        let wanted =
            it.reading.iter().filter_map(|pending| self.decider.wanted(state, &pending.request)).collect::<Vec<_>>();
        if wanted.len() != it.reading.len() {
            // Meanwhile the state has what some of them wanted to know: all take their turn again.
            for pending in std::mem::take(&mut it.reading).into_iter().rev() {
                it.release(pending.actor);
                it.queue.push_front(pending);
            }
            return self.lanes.wake(lane);
        }
        let (read, done, generation) = (self.decider.facts(lane, wanted), self.done.clone(), self.lookups.generation);
        tokio::spawn(async move {
            let read = read.await;
            let _ = done.send(Done::Facts { generation, lane, read });
        });
    }

    /// Takes facts as of some position and applies the later events, up to the writer's state and with the records in
    /// flight. Their commands are decided next.
    pub(super) fn on_facts(&mut self, lane: F::Lane, (facts, position): Loaded<Vec<F::Facts>>) {
        if position.offset > self.position.offset {
            return self.lookups.early.push((lane, (facts, position)));
        }
        let tail = match self.feed.recent(self.source, &position) {
            Ok(Some(tail)) => tail,
            Ok(None) | Err(_) => {
                // The shard lags behind the ring. Read again: it is catching up, and deadlines bound the tries.
                let it = self.lanes.lane(lane);
                let again = std::mem::take(&mut it.reading);
                it.wanting.splice(0..0, again);
                return self.read_facts(lane);
            }
        };
        let it = self.lanes.lane(lane);
        let mut ready = Vec::new();
        for (mut pending, mut facts) in std::mem::take(&mut it.reading).into_iter().zip(facts) {
            let counted =
                tail.iter().filter(|entry| entry.offset < self.position.offset).filter_map(|entry| entry.event());
            for event in counted.filter(|event| self.decider.belongs(lane, event)) {
                self.decider.apply_facts(&mut facts, event);
            }
            for event in self.sent.in_flight.uncounted(lane) {
                self.decider.apply_facts(&mut facts, event);
            }
            pending.facts = Some(facts);
            ready.push(pending);
        }
        for pending in ready.into_iter().rev() {
            it.release(pending.actor);
            it.queue.push_front(pending);
        }
        self.lanes.wake(lane);
    }
}
