//! The heartbeats of one process, and the state that it derives from all nodes' heartbeats.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use teamlog_log::{Appended, Log, NewRecord, Record, Stamp, TopicPartition};
use teamlog_schemas::{Event, NodeBeat, schemas};
use tokio::{sync::watch, time::Instant};
use tracing::{error, info};
use uuid::Uuid;

use super::{Clock, JoinError, Membership, Peer, Role, Seen, Standing, beats::Beats, standing};

/// How long a process that says nothing any more is remembered, in milliseconds.
const FORGET_MS: i64 = 60_000;
/// Two heartbeats of one node missing, in milliseconds: where nobody at all said anything for longer, it was the log that was
/// away, and nobody is held to that.
const LOG_AWAY_MS: i64 = 1_000;

/// The configuration of a node.
pub struct NodeParts {
    /// The log whose topic `nodes` it beats on.
    pub log: Arc<dyn Log>,
    /// Its id; lasts as long as its data directory.
    pub node: Uuid,
    /// The node's role.
    pub role: Role,
    /// Where other nodes reach it.
    pub address: String,
    /// Where clients reach it, if they do.
    pub url: Option<String>,
    /// The views that it builds.
    pub views: Vec<String>,
    /// The consumers that it runs.
    pub kinds: Vec<String>,
    /// Its clock, which is held to the stamps of its heartbeats.
    pub clock: Clock,
}

/// Leaves a tombstone when it ends, whichever way, unless its node lives on in a twin: nobody has to wait for it to fall
/// silent.
pub(super) struct Member {
    parts: NodeParts,
    life: Uuid,
    beats: Beats,
    /// Other processes, by their life.
    others: BTreeMap<Uuid, Seen>,
    /// The lives of other processes that an error was already logged for.
    named: BTreeSet<Uuid>,
    /// True once this process has joined.
    is_in: bool,
    /// The newest stamp of anybody.
    newest_ms: i64,
    /// This node takes part in placement.
    serving: bool,
    table: watch::Sender<Arc<Membership>>,
}

impl Member {
    pub(super) fn new(parts: NodeParts) -> Member {
        let life = Uuid::new_v4();
        let me = peer_of(&parts, life, false);
        let table = watch::Sender::new(Arc::new(Membership::of(parts.node, vec![me])));
        Member {
            parts,
            life,
            beats: Beats::default(),
            others: BTreeMap::new(),
            named: BTreeSet::new(),
            is_in: false,
            newest_ms: i64::MIN,
            serving: false,
            table,
        }
    }

    /// Marks this process as joined. From now on, a process that may not share the log with it is logged as an error.
    pub(super) fn go_in(&mut self) {
        self.is_in = true;
    }

    /// From now on it takes part in placement, or no longer.
    pub(super) fn place(&mut self, serving: bool) {
        self.serving = serving;
        self.update();
    }

    pub(super) fn table(&self) -> watch::Receiver<Arc<Membership>> {
        self.table.subscribe()
    }

    /// Sends a heartbeat. That it is in the log is seen when it comes back.
    pub(super) fn beat(&mut self, writes: &[u32]) {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let (at, sent) = (self.parts.clock.wall(), Instant::now());
        let beat = NodeBeat {
            node: self.parts.node,
            life: self.life,
            at,
            role: self.parts.role.name().to_owned(),
            address: self.parts.address.clone(),
            url: self.parts.url.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schemas: schemas().map(|version| number(version.id)).collect(),
            writes: writes.iter().copied().map(number).collect(),
            views: self.parts.views.clone(),
            kinds: self.parts.kinds.clone(),
            serving: self.serving,
            may_claim: self.parts.clock.may_claim(),
        };
        // Nodes of older versions must understand it, whatever else newer ones would say.
        let beat = Event::from(beat).encode_what_is_known(|schema_id| self.table.borrow().all_know(schema_id));
        match beat {
            Ok(value) => {
                let appended = self.append(Some(value));
                self.beats.sent(at, sent, appended);
            }
            Err(why) => error!(%why, "a heartbeat cannot be written"),
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
        let away_ms = record.timestamp_ms.saturating_sub(self.newest_ms);
        if self.is_in && away_ms > LOG_AWAY_MS {
            self.others.values_mut().for_each(|seen| seen.pass_over(away_ms));
        }
        self.newest_ms = self.newest_ms.max(record.timestamp_ms);
        let Some(value) = &record.value else {
            self.others.retain(|_, seen| seen.node != node);
            return;
        };
        match Event::decode(value) {
            Ok(Event::NodeBeat(beat)) if beat.life == self.life => {
                let stamp_ms = record.timestamp_ms;
                self.beats.read_back(beat.at, record.offset, stamp_ms, &self.parts.clock);
                self.others.retain(|_, seen| stamp_ms - seen.stamp_ms < FORGET_MS);
                self.named.retain(|life| self.others.contains_key(life));
            }
            Ok(Event::NodeBeat(beat)) => {
                let life = beat.life;
                self.on_other(record, life, node, beat.address.clone(), peer(beat));
                self.complain(life);
            }
            // A newer program's. That it lives is all that can be said.
            Ok(_) | Err(_) => self.on_other(record, node, node, "an unknown address".to_owned(), None),
        }
    }

    fn on_other(&mut self, record: &Record, life: Uuid, node: Uuid, address: String, peer: Option<Arc<Peer>>) {
        let stamp_ms = record.timestamp_ms;
        let known = self.others.get(&life).map(|seen| (seen.first_ms, seen.behind_ms, seen.before));
        let (first_ms, behind_ms, before) = known.unwrap_or((stamp_ms, None, self.beats.span_ms().is_none()));
        // By its place: after a failure it may be read a second time.
        let is_behind = self.beats.began_before(record.offset);
        let behind_ms = behind_ms.or(is_behind.then_some(stamp_ms));
        self.others.insert(life, Seen { node, address, stamp_ms, first_ms, behind_ms, peer, before });
    }

    /// Once a life, of one that should not be beside this one: two that write do no harm to the truth, but take the
    /// partitions from each other.
    fn complain(&mut self, life: Uuid) {
        let Some(seen) = self.others.get(&life).filter(|_| self.is_in) else { return };
        let is_twin = seen.node == self.parts.node;
        let is_wrong = if is_twin { seen.goes_on() && !seen.before } else { seen.excludes(self.parts.role) };
        if !is_wrong || seen.peer.as_ref().is_none_or(|peer| !peer.serving) || !self.named.insert(life) {
            return;
        }
        let Seen { node, address, .. } = seen;
        if is_twin {
            error!(%node, address, "another process serves this log under this node's id: was the data directory copied?");
        } else {
            error!(%node, address, "another node serves this log too: stop one of the two");
        }
    }

    /// None as long as no heartbeat of this process has come back.
    pub(super) fn standing(&self) -> Option<Standing<'_>> {
        let (first, newest) = self.beats.span_ms()?;
        // The lock on the data directory proves that a former life of this node is dead.
        let others = self.others.values().filter(|seen| seen.node != self.parts.node);
        Some(standing(self.parts.role, first, newest, others))
    }

    /// The process that had this node's id first, and lives: this one came later, and is to end.
    pub(super) fn twin(&self) -> Option<JoinError> {
        let is_twin = |seen: &Seen| seen.node == self.parts.node && seen.before && seen.goes_on();
        let (life, seen) = self.others.iter().find(|(_, seen)| is_twin(seen))?;
        Some(JoinError::Twin { node: seen.node, life: *life, address: seen.address.clone() })
    }

    /// Brings the table up to what was read. It changes only with what it says.
    pub(super) fn update(&self) {
        let mut newest: BTreeMap<Uuid, &Seen> = BTreeMap::new();
        for seen in self.others.values().filter(|seen| seen.node != self.parts.node && seen.lives(self.newest_ms)) {
            let one = newest.entry(seen.node).or_insert(seen);
            if seen.first_ms > one.first_ms {
                *one = seen;
            }
        }
        let me = Arc::new(peer_of(&self.parts, self.life, self.serving));
        let peers = newest.values().filter_map(|seen| seen.peer.clone()).chain([me]).collect();
        let now = Membership::of_shared(self.parts.node, peers);
        self.table.send_if_modified(|table| {
            let is_news = **table != now;
            if is_news {
                tell_apart(table, &now);
                *table = Arc::new(now);
            }
            is_news
        });
    }

    /// How much older that heartbeat is than the newest of this process, in milliseconds.
    pub(super) fn age_ms(&self, seen: &Seen) -> i64 {
        self.beats.span_ms().map_or(0, |(_, newest)| newest - seen.stamp_ms).max(0)
    }
}

/// Returns this process as other nodes see it.
fn peer_of(parts: &NodeParts, life: Uuid, serving: bool) -> Peer {
    Peer {
        node: parts.node,
        life,
        role: parts.role,
        address: parts.address.clone(),
        url: parts.url.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schemas: schemas().map(|version| version.id).collect(),
        views: parts.views.clone(),
        kinds: parts.kinds.clone(),
        serving,
        may_claim: parts.clock.may_claim(),
    }
}

/// Returns the node that a heartbeat describes. None if its role is unknown to this version.
fn peer(beat: NodeBeat) -> Option<Arc<Peer>> {
    Some(Arc::new(Peer {
        node: beat.node,
        life: beat.life,
        role: beat.role.parse().ok()?,
        address: beat.address,
        url: beat.url,
        version: beat.version,
        schemas: beat.schemas.into_iter().filter_map(|id| u32::try_from(id).ok()).collect(),
        views: beat.views,
        kinds: beat.kinds,
        serving: beat.serving,
        may_claim: beat.may_claim,
    }))
}

/// Says who came and who went.
fn tell_apart(before: &Membership, after: &Membership) {
    let is_in = |table: &Membership, life: Uuid| table.peers().iter().any(|peer| peer.life == life);
    for peer in after.peers().iter().filter(|peer| !is_in(before, peer.life)) {
        info!(node = %peer.node, role = %peer.role, address = peer.address, "a node is here");
    }
    for peer in before.peers().iter().filter(|peer| !is_in(after, peer.life)) {
        info!(node = %peer.node, role = %peer.role, address = peer.address, "a node is gone");
    }
    for role in Role::ALL {
        let live = after.peers().iter().filter(|peer| peer.role == role).count();
        metrics::gauge!("teamlog_nodes_live", "role" => role.name()).set(live as f64);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.twin().is_some() {
            return;
        }
        // The engine goes on with it though nobody waits; if it fails, the others see the silence.
        drop(self.append(None));
    }
}
