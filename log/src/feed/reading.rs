//! The task that reads the log for a process.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tracing::{debug, error, info, warn};

use super::{
    Body, FeedError,
    check::{check_position, check_positions},
    entry::judge,
    shared::Shared,
};
use crate::{Batch, Fence, LogError, Position, Reader, TopicPartition, VoidReason};

/// How long to wait before the log is asked again.
const RETRY: Duration = Duration::from_millis(200);
/// How long the check of one partition may hold up the others.
const CHECK_WAIT: Duration = Duration::from_secs(2);

/// Reads all partitions, judges and decodes what it reads, and puts it into the rings.
pub(super) struct Reading<E> {
    shared: Arc<Shared<E>>,
    /// Of the partitions that are read.
    fences: HashMap<TopicPartition, Fence>,
    /// Partitions that may have been rewritten since they were read last, for the log was unavailable meanwhile.
    unsure: HashSet<TopicPartition>,
}

impl<E: Send + Sync + 'static> Reading<E> {
    pub(super) fn new(shared: Arc<Shared<E>>) -> Reading<E> {
        Reading { shared, fences: HashMap::new(), unsure: HashSet::new() }
    }

    /// Reads until the log's final error, which stops every partition.
    pub(super) async fn run(mut self, from: Vec<(TopicPartition, Position)>) {
        self.begin(from).await;
        loop {
            let partitions =
                self.fences.keys().filter_map(|source| Some((source, self.shared.partition(*source).ok()?)));
            let at = partitions.map(|(source, partition)| (*source, partition.ring.read().end_offset())).collect();
            match self.shared.log.reader(at).await {
                Ok(reader) => {
                    if let Some(why) = self.read(reader).await {
                        return self.stop_all(&why);
                    }
                }
                Err(LogError::Unavailable(why)) => {
                    warn!(why, "the log is unavailable; the feed keeps trying");
                    tokio::time::sleep(RETRY).await;
                }
                Err(why) => return self.stop_all(&why.into()),
            }
        }
    }

    /// Stops the partitions whose positions are not of this log, and keeps the others. While the log is unavailable it
    /// waits for the log.
    async fn begin(&mut self, from: Vec<(TopicPartition, Position)>) {
        let mut open = from;
        while !open.is_empty() {
            let mut again = Vec::new();
            let checked = check_positions(&*self.shared.log, &open).await;
            for ((source, position), (_, checked)) in open.into_iter().zip(checked) {
                match checked {
                    Ok(()) => {
                        self.fences.insert(source, Fence::at(&position));
                    }
                    Err(why) if why.may_pass() => again.push((source, position)),
                    Err(why) => self.stop(source, why),
                }
            }
            open = again;
            if !open.is_empty() {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    fn stop(&mut self, source: TopicPartition, why: FeedError) {
        error!(partition = %source, %why, "a partition is not read on");
        self.fences.remove(&source);
        if let Ok(partition) = self.shared.partition(source) {
            partition.stop(why);
        }
    }

    fn stop_all(&mut self, why: &FeedError) {
        for source in self.shared.clone().sources() {
            self.stop(source, why.clone());
        }
    }

    /// Reads until the reader's final error.
    async fn read(&mut self, mut reader: Box<dyn Reader>) -> Option<FeedError> {
        let mut unavailable = false;
        loop {
            match reader.next().await {
                Ok(batch) => {
                    if std::mem::take(&mut unavailable) {
                        info!("the log answers again");
                    }
                    if self.unsure.remove(&batch.source) {
                        self.check_again(batch.source).await;
                    }
                    self.take(batch).await;
                }
                Err(LogError::Unavailable(why)) => {
                    if !std::mem::replace(&mut unavailable, true) {
                        warn!(why, "the log is unavailable; the feed keeps trying");
                        self.unsure.extend(self.fences.keys());
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(why) => return Some(why.into()),
            }
        }
    }

    /// Stops a partition that was rewritten while the log was unavailable. If that cannot be told now, it is asked again
    /// before the next batch: one partition's trouble must not hold up the others.
    async fn check_again(&mut self, source: TopicPartition) {
        let (Some(fence), Ok(partition)) = (self.fences.get(&source), self.shared.partition(source)) else { return };
        let position = fence.position(partition.ring.read().end_offset());
        match tokio::time::timeout(CHECK_WAIT, check_position(&*self.shared.log, source, position)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) if !why.may_pass() => self.stop(source, why),
            Ok(Err(_)) | Err(_) => {
                debug!(partition = %source, "whether a partition was rewritten is not known yet");
                self.unsure.insert(source);
            }
        }
    }

    async fn take(&mut self, batch: Batch) {
        let source = batch.source;
        let shared = self.shared.clone();
        let (Ok(partition), Some(mut fence)) = (shared.partition(source), self.fences.get(&source).copied()) else {
            return;
        };
        let mut entries = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            let before = fence.position(record.offset);
            let entry = judge(source, &mut fence, record, &shared.decode);
            if let Body::Void(reason) = entry.body {
                metrics::counter!("teamlog_log_void_records_total", "topic" => source.topic.name(), "reason" => reason.name())
                    .increment(1);
                warn!(partition = %source, offset = %record.offset, reason = reason.name(), "a void record");
                if reason == VoidReason::FromTheFuture && !self.is_stray(source, before).await {
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

    /// Whether a record from the future is a stray: then the position before it still is of this log. Else the log below
    /// was rewritten.
    async fn is_stray(&self, source: TopicPartition, before: Position) -> bool {
        loop {
            match check_position(&*self.shared.log, source, before).await {
                Ok(()) => return true,
                Err(why) if why.may_pass() => tokio::time::sleep(RETRY).await,
                Err(_) => return false,
            }
        }
    }
}
