//! A scan of a partition, shared by all readers that fell out of its ring.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Entry, FeedError, check::check_position, entry::judge, shared::Shared};
use crate::{Fence, Offset, Position, TopicPartition};

/// How long a scan that is no larger than a ring is kept after its last use. Clients that reconnect after a restart, or
/// retry after a while, then share one scan. Longer than the longest wait that a client is given (10 s).
const KEPT: Duration = Duration::from_secs(15);

/// The result of a scan: the entries of `[from, to)`, where `to` was the ring's start when the scan ended.
struct Scan<E> {
    from: Position,
    entries: Vec<Arc<Entry<E>>>,
    /// A rough number of bytes in memory.
    bytes: usize,
}

/// The newest scan of a partition. It lives as long as a reader uses it, and for [`KEPT`] after that, so scans take no
/// memory while no client reconnects.
struct Slot<E> {
    /// Locked while a scan runs: the other readers wait for the lock and then use its result.
    running: tokio::sync::Mutex<Weak<Scan<E>>>,
    /// The scan of `running`, if it is small, with its last use.
    kept: Mutex<Option<(Arc<Scan<E>>, Instant)>>,
    /// The positions of the readers that wait. The next scan begins at the lowest.
    wanted: Mutex<Vec<Position>>,
    /// The highest offset from which a scan was too large. Lower ones are too large for good: the log only grows.
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
    /// Returns the entries from `from` on, at least up to the ring's start at the call.
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
                    // Another reader's position cannot be served; this one may be.
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
    /// Fails at once for a position that was too far back before, so that retries cost nothing.
    fn check(&self, shared: &Shared<E>, source: TopicPartition, from: &Position) -> Result<(), FeedError> {
        if self.too_far.lock().is_some_and(|too_far| from.offset <= too_far) {
            let bytes_max = shared.config.scan_bytes_max;
            return Err(FeedError::TooFar { source_partition: source, from: from.offset, bytes_max });
        }
        Ok(())
    }

    /// The lowest position of a waiting reader that may be served.
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
            // The task ends by itself, or with the runtime.
            tokio::spawn(forget(Arc::downgrade(self)));
        }
    }
}

/// Drops the kept scan once it was not used for [`KEPT`].
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

/// The entry of a waiting reader in `wanted`. Removed on drop, so also if the caller is cancelled.
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
        if let Some(at) = wanted.iter().position(|position| *position == self.from) {
            wanted.swap_remove(at);
        }
    }
}

impl<E> Scan<E> {
    fn covers(&self, from: &Position, reach: Offset) -> bool {
        let end = self.entries.last().map_or(self.from.offset, |entry| entry.after.offset);
        self.from.offset <= from.offset && end >= reach
    }

    /// The entries from a position on; none if the position is of another history than this scan.
    fn entries_from(&self, from: &Position) -> Option<Vec<Arc<Entry<E>>>> {
        let first = self.entries.partition_point(|entry| entry.offset < from.offset);
        let here = if first == 0 { self.from } else { self.entries[first - 1].after };
        let is_of_this_history = here.offset != from.offset || here == *from;
        is_of_this_history.then(|| self.entries[first..].to_vec())
    }
}

/// Reads from a position up to the ring's start, which moves on meanwhile.
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
