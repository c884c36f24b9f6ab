//! Reading: each reader has a consumer, to which its partitions are assigned directly.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::client::{Quiet, consuming, failed};
use super::config::KafkaConfig;
use super::names::Names;
use super::query::{Query, number};
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use crate::{Batch, LogError, Offset, Partition, Reader, Record, Stamp, TopicPartition};

pub(super) struct KafkaReader {
    consumer: Option<StreamConsumer<Quiet>>,
    query: Arc<Query>,
    names: Arc<Names>,
    /// The next offset of each partition that is neither returned nor in `ready`.
    cursors: BTreeMap<TopicPartition, Offset>,
    /// Batches that were fetched together with an earlier one.
    ready: VecDeque<Batch>,
    /// The error to return once `ready` is empty.
    pending: Option<Trouble>,
}

enum Trouble {
    /// An error to return.
    Error(LogError),
    /// The consumer has stopped at an offset that does not exist.
    OutOfRange(String),
}

impl KafkaReader {
    /// # Errors
    /// [`LogError::BeyondEnd`], [`LogError::BeforeStart`], and what the brokers say.
    pub(super) async fn open(
        config: &KafkaConfig,
        names: Arc<Names>,
        query: Arc<Query>,
        from: Vec<(TopicPartition, Offset)>,
    ) -> Result<KafkaReader, LogError> {
        let mut cursors: BTreeMap<_, _> = from.into_iter().collect();
        check(&query, &mut cursors).await?;
        let config = consuming(config);
        let list = assignment(&names, &cursors)?;
        // The consumer starts threads, which takes a while.
        let made = tokio::task::spawn_blocking(move || {
            let consumer: StreamConsumer<Quiet> =
                config.create_with_context(Quiet).map_err(|error| LogError::Fatal(error.to_string()))?;
            consumer.assign(&list).map_err(|error| failed(&error))?;
            Ok(consumer)
        });
        let consumer = made.await.map_err(|error| LogError::Fatal(error.to_string()))??;
        Ok(KafkaReader { consumer: Some(consumer), query, names, cursors, ready: VecDeque::new(), pending: None })
    }

    /// Finds out which offset does not exist after the consumer has stopped: fails with it, or goes on.
    async fn recover(&mut self, reason: String) -> Result<(), LogError> {
        let mut cursors = self.cursors.clone();
        check(&self.query, &mut cursors).await?;
        if cursors == self.cursors && reason.contains("truncat") {
            return Err(LogError::Fatal(reason));
        }
        let list = assignment(&self.names, &cursors)?;
        if let Some(consumer) = &self.consumer {
            consumer.assign(&list).map_err(|error| failed(&error))?;
        }
        self.cursors = cursors;
        Ok(())
    }

    /// Takes the records that were fetched, without waiting, and sorts them by partition.
    fn gather(&mut self, (source, record): (TopicPartition, Record)) {
        let mut groups = Groups::default();
        groups.add(source, record, &mut self.cursors);
        if let Some(consumer) = &self.consumer {
            let mut stream = consumer.stream();
            while groups.records < BATCH_RECORDS_MAX && groups.bytes < BATCH_BYTES_MAX {
                match stream.next().now_or_never().flatten() {
                    None => break,
                    Some(Ok(message)) => {
                        if let Some((source, record)) = decode(&self.names, &message) {
                            groups.add(source, record, &mut self.cursors);
                        }
                    }
                    Some(Err(error)) => {
                        self.pending = Some(trouble(&error));
                        break;
                    }
                }
            }
        }
        self.ready.extend(groups.batches);
    }
}

/// The result of one call of `gather`: a batch for each partition, bounded together.
#[derive(Default)]
struct Groups {
    batches: Vec<Batch>,
    records: usize,
    bytes: usize,
}

impl Groups {
    fn add(&mut self, source: TopicPartition, record: Record, cursors: &mut BTreeMap<TopicPartition, Offset>) {
        // Counted even if the record is dropped, so that gathering ends.
        self.records += 1;
        self.bytes += record.bytes();
        let Some(next) = cursors.get_mut(&source) else { return };
        // Fetched again after an assignment that began further back.
        if record.offset < *next {
            return;
        }
        *next = record.offset.next();
        match self.batches.iter_mut().find(|batch| batch.source == source) {
            Some(batch) => batch.records.push(record),
            None => self.batches.push(Batch { source, records: vec![record] }),
        }
    }
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<Batch, LogError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(batch);
            }
            match self.pending.take() {
                None => {}
                Some(Trouble::Error(error)) => return Err(error),
                Some(Trouble::OutOfRange(reason)) => {
                    // Put back first: if this future is dropped, the next call must return the error.
                    self.pending = Some(Trouble::OutOfRange(reason.clone()));
                    self.recover(reason.clone()).await?;
                    self.pending = None;
                    return Err(LogError::Unavailable(reason));
                }
            }
            let Some(consumer) = &self.consumer else { return Err(LogError::Fatal("it was closed".into())) };
            match consumer.recv().await {
                Ok(message) => {
                    if let Some(first) = decode(&self.names, &message) {
                        drop(message);
                        self.gather(first);
                    }
                }
                Err(error) => self.pending = Some(trouble(&error)),
            }
        }
    }
}

impl Drop for KafkaReader {
    /// Ends the consumer in a thread of its own, for it waits for its threads and must not block the runtime.
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            std::thread::spawn(move || drop(consumer));
        }
    }
}

/// Compares cursors with the beginnings and ends of the partitions. In a compacted topic records that are gone were
/// superseded, so there a cursor before the beginning moves up to it.
async fn check(query: &Query, cursors: &mut BTreeMap<TopicPartition, Offset>) -> Result<(), LogError> {
    if cursors.is_empty() {
        return Ok(());
    }
    let bounds = query.bounds(cursors.keys().copied().collect()).await?;
    for (source_partition, wanted) in cursors {
        let (source_partition, (start, end)) = (*source_partition, bounds[source_partition]);
        if *wanted > end {
            return Err(LogError::BeyondEnd { source_partition, wanted: *wanted, end });
        }
        if *wanted < start {
            if !source_partition.topic.compacted() {
                return Err(LogError::BeforeStart { source_partition, wanted: *wanted, start });
            }
            *wanted = start;
        }
    }
    Ok(())
}

fn assignment(names: &Names, cursors: &BTreeMap<TopicPartition, Offset>) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::with_capacity(cursors.len());
    for (of, offset) in cursors {
        let offset = KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX));
        list.add_partition_offset(names.of(of.topic), number(*of), offset).map_err(|error| failed(&error))?;
    }
    Ok(list)
}

fn trouble(error: &KafkaError) -> Trouble {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::LogTruncation,
        ) => Trouble::OutOfRange(error.to_string()),
        _ => Trouble::Error(failed(error)),
    }
}

fn decode(names: &Names, message: &BorrowedMessage<'_>) -> Option<(TopicPartition, Record)> {
    let topic = names.topic(message.topic())?;
    let partition = Partition(u32::try_from(message.partition()).ok()?);
    let offset = Offset(u64::try_from(message.offset()).ok()?);
    let record = Record {
        offset,
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        stamp: stamp(message),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
    };
    Some((TopicPartition { topic, partition }, record))
}

fn stamp(message: &BorrowedMessage<'_>) -> Stamp {
    let Some(headers) = message.headers() else { return Stamp::Absent };
    let named = (0..headers.count()).filter_map(|index| {
        // The client panics on a header whose name is not UTF-8. Such a header is no writer's of this project, and a stray
        // record must not end a reader.
        let header = catch_unwind(AssertUnwindSafe(|| headers.get(index))).ok()?;
        Some((header.key, header.value.unwrap_or_default()))
    });
    Stamp::from_headers(named)
}
