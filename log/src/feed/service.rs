//! The task that reads, and the handle in front of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Body, Decoder, Entry, Subscriber,
    ends::Ends,
    entry::judge,
    ring::{Found, Ring},
    scan::Scans,
};
use crate::{
    Batch, Fence, Log, LogError, Offset, Position, Reader, Record, Stamp, TopicPartition, Verdict, VoidReason,
};

/// Sizes of a feed.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// Bytes of entries kept for each partition.
    pub ring_bytes_max: usize,
    /// Bytes that one shared scan for those who fell out of the ring may hold.
    pub scan_bytes_max: usize,
}

impl Default for FeedConfig {
    fn default() -> Self {
        FeedConfig { ring_bytes_max: 16 << 20, scan_bytes_max: 256 << 20 }
    }
}

/// Why a partition cannot be read on.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FeedError {
    /// The log's own error; [`LogError::Away`] may pass.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The position is of another log: this one was made anew.
    #[error(
        "{source_partition} is not the log that a view was built from (its log_id is {}, the view's {wanted}): rebuild the view, or bring the old log back",
        named(here)
    )]
    OtherLog {
        /// The partition.
        source_partition: TopicPartition,
        /// The log's; nil if nobody has claimed it yet.
        here: uuid::Uuid,
        /// The position's.
        wanted: uuid::Uuid,
    },
    /// The log was cut short below the position and written on.
    #[error(
        "log_rewritten: {source_partition} has another history below offset {offset} than a view was built from: rebuild the view"
    )]
    Rewritten {
        /// The partition.
        source_partition: TopicPartition,
        /// Where the two disagree at the latest.
        offset: Offset,
    },
    /// The partition is not one of this feed's.
    #[error("{0} is not read here")]
    NotRead(TopicPartition),
    /// What was asked for lies further back than one scan may hold.
    #[error("{source_partition} from {from} on is more than a scan may hold ({bytes_max} bytes)")]
    TooFar {
        /// The partition.
        source_partition: TopicPartition,
        /// Where the scan began.
        from: Offset,
        /// The bound.
        bytes_max: usize,
    },
    /// The process is stopping.
    #[error("the feed is stopping")]
    Stopping,
}

impl FeedError {
    /// Whether trying again may help.
    pub fn may_pass(&self) -> bool {
        matches!(self, FeedError::Log(LogError::Away(_)))
    }
}

/// The feed of a process. Cheap to clone.
pub struct Feed<E> {
    pub(super) inner: Arc<Inner<E>>,
}

impl<E> Clone for Feed<E> {
    fn clone(&self) -> Self {
        Feed { inner: self.inner.clone() }
    }
}

pub(super) struct Inner<E> {
    pub(super) log: Arc<dyn Log>,
    pub(super) decode: Decoder<E>,
    pub(super) config: FeedConfig,
    pub(super) partitions: HashMap<TopicPartition, PartitionFeed<E>>,
    pub(super) scans: Scans<E>,
    /// Cancelled once the task that reads is over.
    ended: CancellationToken,
}

pub(super) struct PartitionFeed<E> {
    pub(super) ring: RwLock<Ring<E>>,
    /// The ring's end; sent again when the partition stops.
    pub(super) progress: watch::Sender<Offset>,
    ends: Ends,
}

impl<E: Send + Sync + 'static> Feed<E> {
    /// Starts to read each partition from its position, in a task that ends with `stop`. Returns at once: with the log
    /// away it keeps trying. A partition whose position cannot be of this log stops, and says so to its readers.
    pub fn start(
        log: Arc<dyn Log>,
        decode: Decoder<E>,
        config: FeedConfig,
        from: Vec<(TopicPartition, Position)>,
        stop: CancellationToken,
    ) -> Feed<E> {
        let partitions = from
            .iter()
            .map(|(source, position)| {
                let ring = RwLock::new(Ring::new(*position, config.ring_bytes_max));
                (*source, PartitionFeed { ring, progress: watch::Sender::new(position.offset), ends: Ends::default() })
            })
            .collect();
        let (scans, ended) = (Scans::default(), CancellationToken::new());
        let inner = Arc::new(Inner { log, decode, config, partitions, scans, ended });
        let service = Service { inner: inner.clone(), fences: HashMap::new() };
        let task = inner.clone();
        tokio::spawn(async move {
            if stop.run_until_cancelled(service.run(from)).await.is_none() {
                debug!("feed stopped");
            }
            for partition in task.partitions.values() {
                partition.ring.write().stopped.get_or_insert(FeedError::Stopping);
                partition.progress.send_modify(|_| {});
            }
            task.ended.cancel();
        });
        Feed { inner }
    }

    /// The partitions that it reads.
    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.inner.partitions.keys().copied()
    }

    /// The log beneath.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.inner.log
    }

    /// How far it has read; [`Position::START`] for a partition that is not read here.
    pub fn position(&self, source: TopicPartition) -> Position {
        self.inner.partitions.get(&source).map_or(Position::START, |partition| partition.ring.read().end())
    }

    /// Where a partition of the log ends at some moment of this call: everything that was acknowledged before lies below.
    /// All who ask at the same time cost the log two questions at most.
    ///
    /// # Errors
    /// The log's own; [`FeedError::NotRead`].
    pub async fn end(&self, source: TopicPartition) -> Result<Offset, FeedError> {
        Ok(self.inner.partition(source)?.ends.end(self.inner.log.end(source)).await?)
    }

    /// Why a partition is not read on, if so.
    pub fn stopped(&self, source: TopicPartition) -> Option<FeedError> {
        self.inner.partitions.get(&source)?.ring.read().stopped.clone()
    }

    /// A reader of its own pace from a position on.
    pub fn subscribe(&self, source: TopicPartition, from: Position) -> Subscriber<E> {
        Subscriber::new(self.clone(), source, from)
    }

    /// Whether a position is one of this log's, as far as that can be told without reading up to it.
    ///
    /// # Errors
    /// What is wrong with it; [`FeedError::may_pass`] if the log is away.
    pub async fn check(&self, source: TopicPartition, position: &Position) -> Result<(), FeedError> {
        check_position(&*self.inner.log, source, position).await
    }

    /// Ends once everything below `offset` has been read.
    ///
    /// # Errors
    /// If the partition stops before.
    pub async fn wait_for(&self, source: TopicPartition, offset: Offset) -> Result<(), FeedError> {
        let partition = self.inner.partition(source)?;
        let mut progress = partition.progress.subscribe();
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
        self.inner.ended.cancelled().await;
    }

    /// Everything from `from` to what has been read, out of the ring alone; none if it does not reach back so far.
    ///
    /// # Errors
    /// [`FeedError::Rewritten`] if the position is of another history; [`FeedError::NotRead`].
    pub fn recent(&self, source: TopicPartition, from: &Position) -> Result<Option<Vec<Arc<Entry<E>>>>, FeedError> {
        let ring = self.inner.partition(source)?.ring.read();
        match ring.read(from, usize::MAX) {
            Found::Entries(entries) => Ok(Some(entries)),
            Found::Ahead => Ok(Some(Vec::new())),
            Found::FellOut => Ok(None),
            Found::Rewritten => Err(FeedError::Rewritten { source_partition: source, offset: from.offset }),
        }
    }

    /// Whether [`Feed::recent`] would give what came since: the position is of this history, and not before the ring.
    pub fn reaches_back(&self, source: TopicPartition, from: &Position) -> bool {
        let found = self.inner.partition(source).map(|partition| partition.ring.read().read(from, 0));
        matches!(found, Ok(Found::Entries(_) | Found::Ahead))
    }

    /// Everything from `from` to some place at or behind what had been read at the call: out of the ring, and where
    /// that does not reach back, by one scan of the partition that all who wait share.
    ///
    /// # Errors
    /// [`FeedError::TooFar`] past the bound of a scan; the log's own.
    pub async fn scan(&self, source: TopicPartition, from: Position) -> Result<Vec<Arc<Entry<E>>>, FeedError> {
        loop {
            if let Some(entries) = self.recent(source, &from)? {
                return Ok(entries);
            }
            let older = self.inner.scans.older(&self.inner, source, from).await?;
            let behind = older.last().map_or(from, |entry| entry.after);
            if let Some(newer) = self.recent(source, &behind)? {
                return Ok(older.into_iter().chain(newer).collect());
            }
        }
    }
}

impl<E> Inner<E> {
    pub(super) fn partition(&self, source: TopicPartition) -> Result<&PartitionFeed<E>, FeedError> {
        self.partitions.get(&source).ok_or(FeedError::NotRead(source))
    }
}

fn named(log_id: &uuid::Uuid) -> String {
    if log_id.is_nil() { "not chosen yet".to_owned() } else { log_id.to_string() }
}

/// How long to wait before the log is asked again.
const RETRY: Duration = Duration::from_millis(200);

struct Service<E> {
    inner: Arc<Inner<E>>,
    fences: HashMap<TopicPartition, Fence>,
}

impl<E: Send + Sync + 'static> Service<E> {
    async fn run(mut self, from: Vec<(TopicPartition, Position)>) {
        let mut good = Vec::new();
        for (source, position) in from {
            if self.check(source, position).await {
                self.fences.insert(source, Fence::at(&position));
                good.push((source, position.offset));
            }
        }
        loop {
            let at = good.iter().filter(|(source, _)| self.fences.contains_key(source));
            let at = at.map(|(source, _)| (*source, self.inner.partitions[source].ring.read().end_offset())).collect();
            match self.inner.log.reader(at).await {
                Ok(reader) => {
                    if let Some(why) = self.read(reader).await {
                        return self.stop_all(&why);
                    }
                }
                Err(LogError::Away(why)) => {
                    warn!(why, "the log is away; the feed keeps trying");
                    tokio::time::sleep(RETRY).await;
                }
                Err(why) => return self.stop_all(&why.into()),
            }
        }
    }

    /// Whether a position is one of this log's. With the log away it waits for the log.
    async fn check(&self, source: TopicPartition, position: Position) -> bool {
        loop {
            match check_position(&*self.inner.log, source, &position).await {
                Ok(()) => return true,
                Err(why) if why.may_pass() => tokio::time::sleep(RETRY).await,
                Err(why) => {
                    self.stop(source, why);
                    return false;
                }
            }
        }
    }

    fn stop(&self, source: TopicPartition, why: FeedError) {
        error!(partition = %source, %why, "a partition is not read on");
        if let Some(partition) = self.inner.partitions.get(&source) {
            partition.ring.write().stopped.get_or_insert(why);
            partition.progress.send_modify(|_| {});
        }
    }

    fn stop_all(&self, why: &FeedError) {
        for source in self.inner.partitions.keys() {
            self.stop(*source, why.clone());
        }
    }

    /// Reads until the reader's final error.
    async fn read(&mut self, mut reader: Box<dyn Reader>) -> Option<FeedError> {
        let mut away = false;
        loop {
            match reader.next().await {
                Ok(batch) => {
                    if std::mem::take(&mut away) {
                        info!("the log answers again");
                    }
                    self.take(batch).await;
                }
                Err(LogError::Away(why)) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!(why, "the log is away; the feed keeps trying");
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(why) => return Some(why.into()),
            }
        }
    }

    async fn take(&mut self, batch: Batch) {
        let source = batch.source;
        let inner = self.inner.clone();
        let (Ok(partition), Some(mut fence)) = (inner.partition(source), self.fences.get(&source).copied()) else {
            return;
        };
        let mut entries = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            let before = fence;
            let entry = judge(source, &mut fence, record, &inner.decode);
            if let Body::Void(reason) = entry.body {
                metrics::counter!("teamlog_log_void_records_total", "topic" => source.topic.name(), "reason" => reason.name())
                    .increment(1);
                warn!(partition = %source, offset = %record.offset, reason = reason.name(), "a void record");
                if reason == VoidReason::FromTheFuture && !self.is_stray(source, record.offset, before).await {
                    self.fences.remove(&source);
                    return self.stop(source, FeedError::Rewritten { source_partition: source, offset: record.offset });
                }
            }
            entries.push(Arc::new(entry));
        }
        self.fences.insert(source, fence);
        let end = {
            let mut ring = partition.ring.write();
            for entry in entries {
                ring.push(entry);
            }
            ring.end_offset()
        };
        partition.progress.send_replace(end);
    }

    /// Folds the headers from the beginning: true if the fence before `offset` comes out as ours, so that the record
    /// there is a stray and not a sign that the log below was rewritten.
    async fn is_stray(&self, source: TopicPartition, offset: Offset, ours: Fence) -> bool {
        loop {
            match fold_headers(&*self.inner.log, source, offset).await {
                Ok(fence) => return fence == ours,
                Err(LogError::Away(_)) => tokio::time::sleep(RETRY).await,
                Err(_) => return false,
            }
        }
    }
}

/// The fence of a partition at `to`, from its beginning.
async fn fold_headers(log: &dyn Log, source: TopicPartition, to: Offset) -> Result<Fence, LogError> {
    let mut fence = Fence::at(&Position::START);
    let done = |_: &Record| false;
    fold(log, source, to, &mut fence, done).await?;
    Ok(fence)
}

/// Folds records below `to` until `done` says so of one that was folded in.
async fn fold(
    log: &dyn Log,
    source: TopicPartition,
    to: Offset,
    fence: &mut Fence,
    done: impl Fn(&Record) -> bool,
) -> Result<(), LogError> {
    if to == Offset::ZERO {
        return Ok(());
    }
    let mut reader = log.reader(vec![(source, Offset::ZERO)]).await?;
    loop {
        for record in reader.next().await?.records {
            if record.offset >= to {
                return Ok(());
            }
            let counts = fence.judge(record.stamp) == Verdict::Counts;
            if (counts && done(&record)) || record.offset.next() == to {
                return Ok(());
            }
        }
    }
}

/// Checks that a position is of this log: not beyond its end, and of the same `log_id`.
///
/// # Errors
/// What is wrong; [`FeedError::may_pass`] if the log is away.
pub(super) async fn check_position(
    log: &dyn Log,
    source: TopicPartition,
    position: &Position,
) -> Result<(), FeedError> {
    let end = log.end(source).await?;
    // First whether it is this log at all: one that was made anew is mostly shorter, too.
    if source.topic.fenced() && !position.log_id.is_nil() {
        let mut fence = Fence::at(&Position::START);
        let first_claim = |record: &Record| matches!(record.stamp, Stamp::Claim { .. });
        fold(log, source, position.offset.min(end), &mut fence, first_claim).await?;
        if fence.log_id() != position.log_id {
            let (here, wanted) = (fence.log_id(), position.log_id);
            return Err(FeedError::OtherLog { source_partition: source, here, wanted });
        }
    }
    if position.offset > end {
        let error = LogError::BeyondEnd { source_partition: source, wanted: position.offset, end };
        return Err(error.into());
    }
    Ok(())
}
