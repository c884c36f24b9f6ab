//! A reader of a partition at its own pace: from the ring, and by itself where the ring does not reach back.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Entry, FeedError, check::check_position, entry::judge, ring::Found, shared::Shared};
use crate::{Fence, Offset, Position, Reader, TopicPartition};

/// Entries that one call gives at most.
const ENTRIES_MAX: usize = 1024;

/// Reads one partition from a position on.
pub struct Subscriber<E> {
    shared: Arc<Shared<E>>,
    source: TopicPartition,
    /// Everything below has been given out.
    position: Position,
    progress: Option<watch::Receiver<Offset>>,
    /// Set while it reads the log by itself.
    own: Option<(Box<dyn Reader>, Fence)>,
}

impl<E: Send + Sync + 'static> Subscriber<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, source: TopicPartition, position: Position) -> Subscriber<E> {
        let progress = shared.partition(source).ok().map(|partition| partition.progress.subscribe());
        Subscriber { shared, source, position, progress, own: None }
    }

    /// Everything below has been given out.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next entries, at least one; waits for them. Never beyond what the feed has read. Cancel safe.
    ///
    /// # Errors
    /// [`FeedError::may_pass`] tells whether to call again.
    pub async fn next(&mut self) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
        loop {
            if let Some(progress) = &mut self.progress {
                // Seen before the ring is read, so that no change between the two is missed.
                progress.borrow_and_update();
            }
            let (found, stopped) = {
                let ring = self.shared.partition(self.source)?.ring.read();
                (ring.read(&self.position, ENTRIES_MAX), ring.stopped.clone())
            };
            match found {
                Found::Entries(entries) if !entries.is_empty() => {
                    self.own = None;
                    return Ok(self.give(entries));
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
                    let entries = self.read_by_itself().await?;
                    if !entries.is_empty() {
                        return Ok(self.give(entries));
                    }
                }
                Found::Rewritten => {
                    return Err(FeedError::Rewritten { source_partition: self.source, offset: self.position.offset });
                }
            }
        }
    }

    fn give(&mut self, entries: Vec<Arc<Entry<E>>>) -> Vec<Arc<Entry<E>>> {
        if let Some(last) = entries.last() {
            self.position = last.after;
        }
        entries
    }

    async fn read_by_itself(&mut self) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
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
        // No further than the feed: who counts on its ring to have what others saw here would else miss what lies between.
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
