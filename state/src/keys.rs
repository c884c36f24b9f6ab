//! The memory of keyed writes of the last minutes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use teamlog_schemas::{Event, Ts};

use crate::WriteKey;

/// How long a keyed write stays in memory, by the events' own time, in microseconds: ten minutes. A client's retries
/// come within seconds; whoever comes later is answered from the shard's table `keys`.
const KEPT_MICROS: i64 = 600_000_000;
/// The most keys in memory a team: a flood of keyed writes forgets the oldest sooner, which costs a look-up.
const KEPT_MAX: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(crate) struct RecentKeys {
    by_key: Arc<HashMap<WriteKey, Arc<Event>>>,
    by_age: VecDeque<(Ts, WriteKey)>,
}

impl RecentKeys {
    pub(crate) fn get(&self, key: &WriteKey) -> Option<&Arc<Event>> {
        self.by_key.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn remember(&mut self, event: &Arc<Event>) {
        let (Some(key), Some(meta)) = (WriteKey::of(event), event.meta()) else { return };
        let by_key = Arc::make_mut(&mut self.by_key);
        // The first event of a key is its answer for ever; no writer appends a second one.
        by_key.entry(key.clone()).or_insert_with(|| event.clone());
        self.by_age.push_back((meta.at, key));
        while let Some((at, _)) = self.by_age.front() {
            if self.by_age.len() <= KEPT_MAX && meta.at.micros() - at.micros() <= KEPT_MICROS {
                break;
            }
            if let Some((_, key)) = self.by_age.pop_front() {
                by_key.remove(&key);
            }
        }
    }
}
