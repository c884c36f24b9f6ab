//! A batch of entries folded into the rows of a shard's tables: which rows it needs, what becomes of them. No I/O.

use std::sync::Arc;

use teamlog_log::{Body, Topic};
use teamlog_schemas::{Event, TeamId, Ts};

use super::tables::{Tables, begin};
use crate::projector::Batch;

/// The fold of one batch.
pub(super) struct Fold<'a> {
    shard: &'a str,
    pub(super) tables: Tables,
    /// The newest event's time.
    pub(super) newest: Ts,
}

impl<'a> Fold<'a> {
    /// Notes which rows a batch needs to have been read, for the shard of this name.
    pub(super) fn of(shard: &'a str, batch: &Batch) -> Fold<'a> {
        let mut tables = Tables::default();
        // Most events are messages. To grow step by step to thousands of rows would copy all of them each time.
        tables.messages.reserve(batch.entries.len());
        for entry in &batch.entries {
            if let Body::Event(event) = &entry.body
                && let Some(team) = event.team()
            {
                tables.want(entry.source.topic, team, event);
            }
        }
        Fold { shard, tables, newest: Ts::ZERO }
    }

    /// Folds a batch in, once the rows are read that it needs.
    pub(super) fn apply(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            let topic = entry.source.topic;
            match &entry.body {
                Body::Event(event) => self.event(topic, event),
                Body::Tombstone(Some(key)) => {
                    if let Some((team, rest)) = parse_key(key) {
                        self.tables.tombstone(topic, team, rest);
                    }
                }
                _ => {}
            }
        }
    }

    /// Folds one event in. A team that did not begin on this shard is another shard's.
    fn event(&mut self, topic: Topic, event: &Arc<Event>) {
        let Some(meta) = event.meta() else { return };
        if topic == Topic::Events {
            if !begin(&mut self.tables, self.shard, meta.team, event) {
                return;
            }
            self.newest = self.newest.max(meta.at);
        }
        self.tables.apply(topic, meta.team, event);
    }
}

/// The keys of compacted topics begin with their team: `team/rest`.
fn parse_key(key: &[u8]) -> Option<(TeamId, &str)> {
    let (team, rest) = std::str::from_utf8(key).ok()?.split_once('/')?;
    Some((team.parse().ok()?, rest))
}
