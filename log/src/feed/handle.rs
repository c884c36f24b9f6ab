//! The handle in front of the task that reads.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Decoder, Entry, FeedConfig, FeedError, Subscriber, check::check_position, reading::Reading, ring::Found,
    scan::Scans, shared::Shared,
};
use crate::{Log, Offset, Position, TopicPartition};

/// The feed of a process. Cheap to clone.
pub struct Feed<E> {
    shared: Arc<Shared<E>>,
    scans: Arc<Scans<E>>,
    /// Cancelled once the task that reads is over.
    ended: CancellationToken,
}

impl<E> Clone for Feed<E> {
    fn clone(&self) -> Self {
        Feed { shared: self.shared.clone(), scans: self.scans.clone(), ended: self.ended.clone() }
    }
}

impl<E: Send + Sync + 'static> Feed<E> {
    /// Starts to read each partition from its position, in a task that ends with `stop`. Returns at once: while the log
    /// is unavailable the task keeps trying. A partition whose position is not of this log stops, and its readers get
    /// the error.
    pub fn start(
        log: Arc<dyn Log>,
        decode: Decoder<E>,
        config: FeedConfig,
        from: Vec<(TopicPartition, Position)>,
        stop: CancellationToken,
    ) -> Feed<E> {
        let shared = Arc::new(Shared::new(log, decode, config, &from));
        let feed = Feed { shared, scans: Arc::default(), ended: CancellationToken::new() };
        let (reading, shared, ended) = (Reading::new(feed.shared.clone()), feed.shared.clone(), feed.ended.clone());
        tokio::spawn(async move {
            if stop.run_until_cancelled(reading.run(from)).await.is_none() {
                debug!("feed stopped");
            }
            for partition in shared.sources().filter_map(|source| shared.partition(source).ok()) {
                partition.stop(FeedError::Stopping);
            }
            ended.cancel();
        });
        feed
    }

    /// The partitions that it reads.
    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.shared.sources()
    }

    /// The log beneath.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.shared.log
    }

    /// How far it has read; [`Position::START`] for a partition that is not read here.
    pub fn position(&self, source: TopicPartition) -> Position {
        self.shared.partition(source).map_or(Position::START, |partition| partition.ring.read().end())
    }

    /// Where a partition of the log ends at some moment of this call: everything that was acknowledged before lies
    /// below. All callers at one time cost the log two questions at most.
    ///
    /// # Errors
    /// The log's own; [`FeedError::NotRead`].
    pub async fn end(&self, source: TopicPartition) -> Result<Offset, FeedError> {
        Ok(self.shared.partition(source)?.ends.end(self.shared.log.end(source)).await?)
    }

    /// Why a partition is not read any further, if so.
    pub fn stopped(&self, source: TopicPartition) -> Option<FeedError> {
        self.shared.partition(source).ok()?.ring.read().stopped.clone()
    }

    /// A reader of its own pace from a position on. The position is checked by its first read.
    pub fn subscribe(&self, source: TopicPartition, from: Position) -> Subscriber<E> {
        Subscriber::new(self.shared.clone(), source, from)
    }

    /// Checks that a position is of this log: not beyond its end, and after the claim and the record that it names. Of a
    /// topic that is not fenced only the end can be checked. Two single records are read, however long the log is.
    ///
    /// # Errors
    /// [`FeedError::OtherLog`], [`FeedError::Rewritten`], [`LogError::BeyondEnd`](crate::LogError::BeyondEnd);
    /// [`FeedError::may_pass`] if the log is unavailable.
    pub async fn check(&self, source: TopicPartition, position: &Position) -> Result<(), FeedError> {
        check_position(&*self.shared.log, source, *position).await
    }

    /// Ends once everything below `offset` has been read.
    ///
    /// # Errors
    /// If the partition stops before.
    pub async fn wait_for(&self, source: TopicPartition, offset: Offset) -> Result<(), FeedError> {
        let mut progress = self.shared.partition(source)?.progress.subscribe();
        loop {
            if *progress.borrow_and_update() >= offset {
                return Ok(());
            }
            if let Some(why) = self.stopped(source) {
                return Err(why);
            }
            // The sender lives as long as `self`.
            let _ = progress.changed().await;
        }
    }

    /// Ends once nothing is read any more: the log beneath may be closed then.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Every entry that was read at or after `from`, out of the ring alone; none if it does not reach back so far.
    ///
    /// # Errors
    /// [`FeedError::Rewritten`] if the position is of another history; [`FeedError::NotRead`].
    pub fn recent(&self, source: TopicPartition, from: &Position) -> Result<Option<Vec<Arc<Entry<E>>>>, FeedError> {
        self.shared.recent(source, from)
    }

    /// Whether [`Feed::recent`] would give what came since: the position is of this history, and not before the ring.
    pub fn reaches_back(&self, source: TopicPartition, from: &Position) -> bool {
        let found = self.shared.partition(source).map(|partition| partition.ring.read().read(from, 0));
        matches!(found, Ok(Found::Entries(_) | Found::Ahead))
    }

    /// Everything from `from` to some place at or after what had been read at the call: out of the ring, and where that
    /// does not reach back, by one scan of the partition that all callers share.
    ///
    /// # Errors
    /// [`FeedError::TooFar`] past the bound of a scan; what is wrong with the position; the log's own.
    pub async fn scan(&self, source: TopicPartition, from: Position) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
        loop {
            if let Some(entries) = self.recent(source, &from)? {
                return Ok(entries);
            }
            let older = self.scans.older(&self.shared, source, from).await?;
            let after = older.last().map_or(from, |entry| entry.after);
            if let Some(newer) = self.recent(source, &after)? {
                return Ok(older.into_iter().chain(newer).collect());
            }
        }
    }
}
