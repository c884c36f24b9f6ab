//! One scan of a partition shared by all who fell out of its ring.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{
    Entry, FeedError,
    entry::judge,
    service::{Inner, check_position},
};
use crate::{Fence, Offset, Position, TopicPartition};

/// What one scan found: the entries of `[from, to)`, where `to` was the ring's start when it ended.
struct Scan<E> {
    from: Position,
    entries: Vec<Arc<Entry<E>>>,
}

/// The newest scan, alive as long as somebody uses it: scans cost no memory when nobody reconnects.
struct Slot<E> {
    /// Held while a scan runs: the others wait here and then find its result.
    running: tokio::sync::Mutex<Weak<Scan<E>>>,
    /// Where those who wait want to begin; the next scan begins at the lowest.
    wanted: Mutex<Vec<Position>>,
}

pub(super) struct Scans<E> {
    slots: Mutex<HashMap<TopicPartition, Arc<Slot<E>>>>,
}

impl<E> Default for Scans<E> {
    fn default() -> Self {
        Scans { slots: Mutex::default() }
    }
}

impl<E: Send + Sync + 'static> Scans<E> {
    /// The entries from `from` on, at least to where the ring began when this was called.
    pub(super) async fn older(
        &self,
        inner: &Inner<E>,
        source: TopicPartition,
        from: Position,
    ) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
        let slot = self.slot(source);
        let reach = inner.partition(source)?.ring.read().start().offset;
        let waiting = Waiting::new(&slot, from);
        let mut running = slot.running.lock().await;
        let scan = match running.upgrade().filter(|scan| scan.covers(&from, reach)) {
            Some(scan) => scan,
            None => {
                let lowest = slot.wanted.lock().iter().min_by_key(|position| position.offset).copied().unwrap_or(from);
                let scan = Arc::new(read(inner, source, lowest).await?);
                *running = Arc::downgrade(&scan);
                scan
            }
        };
        drop(running);
        drop(waiting);
        Ok(scan.entries_from(&from))
    }

    fn slot(&self, source: TopicPartition) -> Arc<Slot<E>> {
        let fresh = || Arc::new(Slot { running: tokio::sync::Mutex::new(Weak::new()), wanted: Mutex::default() });
        self.slots.lock().entry(source).or_insert_with(fresh).clone()
    }
}

/// Takes its wish back when it is dropped, also by a caller that went away.
struct Waiting<'a, E> {
    slot: &'a Slot<E>,
    from: Position,
}

impl<'a, E> Waiting<'a, E> {
    fn new(slot: &'a Slot<E>, from: Position) -> Self {
        slot.wanted.lock().push(from);
        Waiting { slot, from }
    }
}

impl<E> Drop for Waiting<'_, E> {
    fn drop(&mut self) {
        let mut wanted = self.slot.wanted.lock();
        if let Some(at) = wanted.iter().position(|one| *one == self.from) {
            wanted.swap_remove(at);
        }
    }
}

impl<E> Scan<E> {
    fn covers(&self, from: &Position, reach: Offset) -> bool {
        let end = self.entries.last().map_or(self.from.offset, |entry| entry.after.offset);
        self.from.offset <= from.offset && end >= reach
    }

    fn entries_from(&self, from: &Position) -> Vec<Arc<Entry<E>>> {
        let first = self.entries.partition_point(|entry| entry.offset < from.offset);
        self.entries[first..].to_vec()
    }
}

/// Reads from a position to where the ring begins by then.
async fn read<E: Send + Sync + 'static>(
    inner: &Inner<E>,
    source: TopicPartition,
    from: Position,
) -> Result<Scan<E>, FeedError> {
    check_position(&*inner.log, source, &from).await?;
    let partition = inner.partition(source)?;
    let mut reader = inner.log.reader(vec![(source, from.offset)]).await?;
    let (mut fence, mut entries, mut bytes) = (Fence::at(&from), Vec::new(), 0);
    metrics::counter!("teamlog_feed_scans_total", "topic" => source.topic.name()).increment(1);
    let mut reached = from.offset;
    while reached < partition.ring.read().start().offset {
        for record in reader.next().await?.records {
            let entry = judge(source, &mut fence, &record, &inner.decode);
            bytes += entry.cost();
            reached = entry.after.offset;
            entries.push(Arc::new(entry));
        }
        if bytes > inner.config.scan_bytes_max {
            let bytes_max = inner.config.scan_bytes_max;
            return Err(FeedError::TooFar { source_partition: source, from: from.offset, bytes_max });
        }
    }
    Ok(Scan { from, entries })
}
