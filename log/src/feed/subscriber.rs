//! A reader of one partition at its own pace: from the ring, and from the log where the ring does not reach back.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Entry, FeedError, check::check_position, entry::judge, ring::Found, shared::Shared};
use crate::{Fence, Offset, Position, Reader, TopicPartition};

/// Entries that one call returns at most.
const ENTRIES_MAX: usize = 1024;

/// A reader of one partition, from a position on.
pub struct Subscriber<E> {
    shared: Arc<Shared<E>>,
    source: TopicPartition,
    /// Every entry below was returned.
    position: Position,
    progress: Option<watch::Receiver<Offset>>,
    /// Set while it reads the log, and not the ring.
    own: Option<(Box<dyn Reader>, Fence)>,
}

impl<E: Send + Sync + 'static> Subscriber<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, source: TopicPartition, position: Position) -> Subscriber<E> {
        let progress = shared.partition(source).ok().map(|partition| partition.progress.subscribe());
        Subscriber { shared, source, position, progress, own: None }
    }

    /// The position after the last entry that was returned.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Waits for the next entries, and returns at least one. Never returns an entry that the feed has not read. Cancel safe.
    ///
    /// # Errors
    /// [`FeedError::may_pass`] says whether to call again.
    pub async fn next(&mut self) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
        loop {
            if let Some(progress) = &mut self.progress {
                // Marked as seen before the ring is read, so that no change in between is missed.
                progress.borrow_and_update();
            }
            let (found, stopped) = {
                let ring = self.shared.partition(self.source)?.ring.read();
                (ring.read(&self.position, ENTRIES_MAX), ring.stopped.clone())
            };
            match found {
                Found::Entries(entries) if !entries.is_empty() => {
                    self.own = None;
                    return Ok(self.advance(entries));
                }
                Found::Entries(_) | Found::Ahead => {
                    if let Some(why) = stopped {
                        return Err(why);
                    }
                    if let Some(progress) = &mut self.progress {
                        // The sender lives as long as `self.shared`.
                        let _ = progress.changed().await;
                    }
                }
                Found::FellOut => {
                    let entries = self.read_log().await?;
                    if !entries.is_empty() {
                        return Ok(self.advance(entries));
                    }
                }
                Found::Rewritten => {
                    return Err(FeedError::Rewritten { source_partition: self.source, offset: self.position.offset });
                }
            }
        }
    }

    fn advance(&mut self, entries: Vec<Arc<Entry<E>>>) -> Vec<Arc<Entry<E>>> {
        if let Some(last) = entries.last() {
            self.position = last.after;
        }
        entries
    }

    async fn read_log(&mut self) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
        let shared = &self.shared;
        let (reader, fence) = match &mut self.own {
            Some(own) => own,
            None => {
                check_position(&*shared.log, self.source, self.position).await?;
                let reader = shared.log.reader(vec![(self.source, self.position.offset)]).await?;
                self.own.insert((reader, Fence::at(&self.position)))
            }
        };
        let batch = reader.next().await?;
        // No further than the feed: readers rely on the ring to have every entry that another reader got from here.
        let end = shared.partition(self.source)?.ring.read().end_offset();
        let below = batch.records.partition_point(|record| record.offset < end);
        let (below, beyond) = batch.records.split_at(below);
        let judged = below.iter().map(|record| Arc::new(judge(self.source, fence, record, &shared.decode))).collect();
        if !beyond.is_empty() {
            self.own = None;
            if below.is_empty() {
                // A hole of a compacted topic.
                self.position.offset = end;
            }
        }
        Ok(judged)
    }
}
