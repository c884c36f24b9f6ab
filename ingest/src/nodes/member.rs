//! One process's heartbeats, and what it has read of everybody's.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::future::BoxFuture;
use teamlog_log::{Appended, NewRecord, Record, Stamp, TopicPartition};
use teamlog_schemas::{Event, NodeBeat, Ts, schemas};
use tokio::time::Instant;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{NodeParts, Seen, Standing, clock::Echo, standing};

/// Heartbeats that may be on their way; more of them than a log that is away leaves open.
const SENT_MAX: usize = 256;
/// How long a process that says nothing any more is remembered, in milliseconds.
const FORGET_MS: i64 = 60_000;

/// Leaves a tombstone when it ends, whichever way: nobody has to wait for it to fall silent.
pub(super) struct Member {
    parts: NodeParts,
    life: Uuid,
    /// What was sent and has not come back, oldest first.
    sent: VecDeque<(Ts, Instant)>,
    /// The stamps of this process's first and newest heartbeat.
    span_ms: Option<(i64, i64)>,
    /// Other processes, by their life.
    others: BTreeMap<Uuid, Seen>,
    /// Those of them that were complained of.
    named: BTreeSet<Uuid>,
    serves: bool,
    clock_was_good: bool,
    /// The newest heartbeat is not known to be in the log; said once.
    failing: Arc<AtomicBool>,
}

impl Member {
    pub(super) fn new(parts: NodeParts) -> Member {
        Member {
            parts,
            life: Uuid::new_v4(),
            sent: VecDeque::new(),
            span_ms: None,
            others: BTreeMap::new(),
            named: BTreeSet::new(),
            serves: false,
            clock_was_good: true,
            failing: Arc::default(),
        }
    }

    /// From now on nobody else should write.
    pub(super) fn serve(&mut self) {
        self.serves = true;
    }

    /// Sends a heartbeat. That it is in the log is seen when it comes back.
    pub(super) fn beat(&mut self, writes: &[u32]) {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let (at, sent) = (self.parts.clock.wall(), Instant::now());
        let beat = NodeBeat {
            node: self.parts.node,
            life: self.life,
            at,
            role: self.parts.role.to_owned(),
            address: self.parts.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schemas: schemas().map(|version| number(version.id)).collect(),
            writes: writes.iter().copied().map(number).collect(),
        };
        match Event::from(beat).encode() {
            Ok(value) => {
                let (appended, failing) = (self.append(Some(value)), self.failing.clone());
                tokio::spawn(async move {
                    match appended.await.pop() {
                        Some(Appended::Failed(why) | Appended::Unknown(why)) => {
                            if !failing.swap(true, Ordering::Relaxed) {
                                warn!(%why, "this node's heartbeats do not come into the log");
                            }
                        }
                        Some(Appended::At(_)) | None => failing.store(false, Ordering::Relaxed),
                    }
                });
            }
            Err(why) => return error!(%why, "a heartbeat cannot be written"),
        }
        self.sent.push_back((at, sent));
        if self.sent.len() > SENT_MAX {
            self.sent.pop_front();
        }
    }

    fn append(&self, value: Option<Bytes>) -> BoxFuture<'static, Vec<Appended>> {
        let record = NewRecord {
            key: Some(Bytes::from(self.parts.node.to_string())),
            value,
            stamp: Stamp::Absent,
            writer: None,
            traceparent: None,
        };
        self.parts.log.append(TopicPartition::NODES, vec![record])
    }

    pub(super) fn on_record(&mut self, record: &Record) {
        let key = record.key.as_deref().and_then(|key| Uuid::try_parse_ascii(key).ok());
        let Some(node) = key else { return };
        let Some(value) = &record.value else {
            self.others.retain(|_, seen| seen.node != node);
            return;
        };
        match Event::decode(value) {
            Ok(Event::NodeBeat(beat)) if beat.life == self.life => self.on_own(&beat, record.timestamp_ms),
            Ok(Event::NodeBeat(beat)) => {
                self.on_other(beat.life, node, beat.address, record.timestamp_ms);
                if self.serves && !beat.writes.is_empty() {
                    self.complain(beat.life);
                }
            }
            // A newer program's. That it lives is all that can be said.
            Ok(_) | Err(_) => self.on_other(node, node, "an unknown address".to_owned(), record.timestamp_ms),
        }
    }

    fn on_own(&mut self, beat: &NodeBeat, stamp_ms: i64) {
        let first = self.span_ms.map_or(stamp_ms, |(first, _)| first);
        self.span_ms = Some((first, stamp_ms));
        self.others.retain(|_, seen| stamp_ms - seen.stamp_ms < FORGET_MS);
        self.named.retain(|life| self.others.contains_key(life));
        let live = 1 + self.others.values().filter(|seen| seen.lives(stamp_ms)).count();
        metrics::gauge!("teamlog_nodes_live").set(live as f64);
        // A heartbeat that the log has twice was taken out the first time.
        let Some(place) = self.sent.iter().position(|(at, _)| *at == beat.at) else { return };
        let Some((at, sent)) = self.sent.drain(..=place).next_back() else { return };
        let stamp = Ts::from_micros(stamp_ms.saturating_mul(1_000));
        let clock = &self.parts.clock;
        clock.observe(Echo { at, sent, stamp, read: Instant::now() });
        let off_seconds = clock.off_micros() as f64 / 1e6;
        metrics::gauge!("teamlog_clock_off_seconds").set(off_seconds);
        let good = clock.may_claim();
        if good != std::mem::replace(&mut self.clock_was_good, good) {
            if good {
                info!("this node's clock is right again");
            } else {
                error!(
                    off_seconds,
                    "this node's clock is not the brokers': it claims no partition until it is set right"
                );
            }
        }
    }

    fn on_other(&mut self, life: Uuid, node: Uuid, address: String, stamp_ms: i64) {
        // The lock on the data directory proves that a former life of this node is dead.
        if node == self.parts.node && !self.serves {
            return;
        }
        let before = self.others.get(&life).map_or(self.span_ms.is_none(), |seen| seen.before);
        self.others.insert(life, Seen { node, address, stamp_ms, before });
    }

    /// Once a life: two that serve do no harm to the truth, but take the partitions from each other.
    fn complain(&mut self, life: Uuid) {
        let Some(seen) = self.others.get(&life) else { return };
        if !self.named.insert(life) {
            return;
        }
        let Seen { node, address, .. } = seen;
        if *node == self.parts.node {
            error!(%node, address, "another process serves this log under this node's id: was the data directory copied?");
        } else {
            error!(%node, address, "another node serves this log too: stop one of the two");
        }
    }

    /// None as long as no heartbeat of this process has come back.
    pub(super) fn standing(&self) -> Option<Standing<'_>> {
        let (first, newest) = self.span_ms?;
        Some(standing(first, newest, self.others.values()))
    }

    /// How much older that heartbeat is than the newest of this process, in milliseconds.
    pub(super) fn age_ms(&self, seen: &Seen) -> i64 {
        self.span_ms.map_or(0, |(_, newest)| newest - seen.stamp_ms).max(0)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The engine goes on with it though nobody waits; if it fails, the others see the silence.
        drop(self.append(None));
    }
}
