//! One scan of a partition shared by all who fell out of its ring.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Entry, FeedError, check::check_position, entry::judge, shared::Shared};
use crate::{Fence, Offset, Position, TopicPartition};

/// A scan that is no larger than a ring is kept for so long behind its last use. Those who come back after a restart, or
/// after they were told to come a little later, then find one scan, not one each time that nobody holds the last one. Past
/// the longest wait that a client is told (10 s).
const KEPT: Duration = Duration::from_secs(15);

/// What one scan found: the entries of `[from, to)`, where `to` was the ring's start when it ended.
struct Scan<E> {
    from: Position,
    entries: Vec<Arc<Entry<E>>>,
    /// A rough number of bytes in memory.
    bytes: usize,
}

/// The newest scan, alive as long as somebody uses it, or a little longer: scans cost no memory when nobody reconnects.
struct Slot<E> {
    /// Held while a scan runs: the others wait here and then find its result.
    running: tokio::sync::Mutex<Weak<Scan<E>>>,
    /// The same, if it is small, with its last use.
    kept: Mutex<Option<(Arc<Scan<E>>, Instant)>>,
    /// Where those who wait want to begin; the next scan begins at the lowest.
    wanted: Mutex<Vec<Position>>,
    /// From here back is more than a scan may hold, for good: the log only grows.
    too_far: Mutex<Option<Offset>>,
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
        shared: &Shared<E>,
        source: TopicPartition,
        from: Position,
    ) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
        let slot = self.slot(source);
        slot.check(shared, source, &from)?;
        let reach = shared.partition(source)?.ring.read().start().offset;
        let waiting = Waiting::new(&slot, from);
        let mut running = slot.running.lock().await;
        let scan = match running.upgrade().filter(|scan| scan.covers(&from, reach)) {
            Some(scan) => scan,
            None => {
                slot.check(shared, source, &from)?;
                let lowest = slot.lowest().unwrap_or(from);
                let scan = match slot.read(shared, source, lowest).await {
                    // Another one's place cannot be served: that is no reason to refuse this one.
                    Err(why) if lowest != from && !why.may_pass() => slot.read(shared, source, from).await?,
                    scan => scan?,
                };
                let scan = Arc::new(scan);
                *running = Arc::downgrade(&scan);
                scan
            }
        };
        if scan.bytes <= shared.config.ring_bytes_max {
            slot.keep(&scan);
        }
        drop(running);
        drop(waiting);
        scan.entries_from(&from).ok_or(FeedError::Rewritten { source_partition: source, offset: from.offset })
    }

    fn slot(&self, source: TopicPartition) -> Arc<Slot<E>> {
        let fresh = || {
            let running = tokio::sync::Mutex::new(Weak::new());
            Arc::new(Slot { running, kept: Mutex::default(), wanted: Mutex::default(), too_far: Mutex::default() })
        };
        self.slots.lock().entry(source).or_insert_with(fresh).clone()
    }
}

impl<E: Send + Sync + 'static> Slot<E> {
    /// Fails at once for what failed before: who asks again and again costs nothing.
    fn check(&self, shared: &Shared<E>, source: TopicPartition, from: &Position) -> Result<(), FeedError> {
        if self.too_far.lock().is_some_and(|too_far| from.offset <= too_far) {
            let bytes_max = shared.config.scan_bytes_max;
            return Err(FeedError::TooFar { source_partition: source, from: from.offset, bytes_max });
        }
        Ok(())
    }

    /// The lowest place of those who wait and may be served.
    fn lowest(&self) -> Option<Position> {
        let too_far = *self.too_far.lock();
        let wanted = self.wanted.lock();
        let near = wanted.iter().filter(|position| too_far.is_none_or(|too_far| position.offset > too_far));
        near.min_by_key(|position| position.offset).copied()
    }

    async fn read(&self, shared: &Shared<E>, source: TopicPartition, from: Position) -> Result<Scan<E>, FeedError> {
        let scan = read(shared, source, from).await;
        if let Err(FeedError::TooFar { .. }) = scan {
            let mut too_far = self.too_far.lock();
            *too_far = (*too_far).max(Some(from.offset));
        }
        scan
    }

    fn keep(self: &Arc<Self>, scan: &Arc<Scan<E>>) {
        let was_empty = self.kept.lock().replace((scan.clone(), Instant::now())).is_none();
        if was_empty {
            // Ends by itself, or with the runtime.
            tokio::spawn(forget(Arc::downgrade(self)));
        }
    }
}

/// Lets go what is kept once nobody has used it for long enough.
async fn forget<E>(slot: Weak<Slot<E>>) {
    let mut until = Instant::now() + KEPT;
    loop {
        tokio::time::sleep_until(until).await;
        let Some(slot) = slot.upgrade() else { return };
        let mut kept = slot.kept.lock();
        match &*kept {
            Some((_, used)) if *used + KEPT > Instant::now() => until = *used + KEPT,
            _ => {
                *kept = None;
                return;
            }
        }
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

    /// The entries from a position on; none if it is of another history than this scan.
    fn entries_from(&self, from: &Position) -> Option<Vec<Arc<Entry<E>>>> {
        let first = self.entries.partition_point(|entry| entry.offset < from.offset);
        let here = if first == 0 { self.from } else { self.entries[first - 1].after };
        let is_of_this_history = here.offset != from.offset || here == *from;
        is_of_this_history.then(|| self.entries[first..].to_vec())
    }
}

/// Reads from a position to where the ring begins by then.
async fn read<E: Send + Sync + 'static>(
    shared: &Shared<E>,
    source: TopicPartition,
    from: Position,
) -> Result<Scan<E>, FeedError> {
    check_position(&*shared.log, source, from).await?;
    let partition = shared.partition(source)?;
    let mut reader = shared.log.reader(vec![(source, from.offset)]).await?;
    let (mut fence, mut entries, mut bytes) = (Fence::at(&from), Vec::new(), 0);
    metrics::counter!("teamlog_feed_scans_total", "topic" => source.topic.name()).increment(1);
    let mut reached = from.offset;
    while reached < partition.ring.read().start().offset {
        for record in reader.next().await?.records {
            let entry = judge(source, &mut fence, &record, &shared.decode);
            bytes += entry.cost();
            reached = entry.after.offset;
            entries.push(Arc::new(entry));
        }
        if bytes > shared.config.scan_bytes_max {
            let bytes_max = shared.config.scan_bytes_max;
            return Err(FeedError::TooFar { source_partition: source, from: from.offset, bytes_max });
        }
    }
    Ok(Scan { from, entries, bytes })
}
