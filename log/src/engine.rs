//! The trait of an engine. The engines on Kafka and on SQLite implement it, and so does the faulty one of the tests.

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{NewRecord, Offset, Record, Topic, TopicPartition};

/// The outcome of the append of one record.
#[derive(Clone, Debug)]
pub enum Appended {
    /// Durable, at this offset.
    At(Offset),
    /// Not in the log, now or later.
    Failed(LogError),
    /// Possibly in the log, now or later. Never to be reported as "failed".
    Unknown(LogError),
}

/// Records of one partition, in offset order, without a hole that the engine knows of.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The partition that they were read from.
    pub source: TopicPartition,
    /// The records; never empty.
    pub records: Vec<Record>,
}

/// The log of an engine: append and read over (topic, partition).
///
/// Ordering: the records of one `append` keep their order, and so do the calls for one partition, in the order in which
/// `append` was *called* (not polled). After a record that failed or is unknown, later ones may still land; the fence's
/// `seq` makes them void.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// The number of partitions of `topic`; it never changes.
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError>;

    /// Queues `records` and returns at once. The future gives one outcome for each record, in order, once all are known.
    ///
    /// A dropped future does not take records back. The engine bounds its queue: a record that finds no room is
    /// [`Appended::Failed`] with [`LogError::QueueFull`].
    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>>;

    /// Returns the first offset not yet written, as of some moment during the call.
    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError>;

    /// Opens a reader over any number of partitions, each from its offset.
    ///
    /// # Errors
    /// [`LogError::BeyondEnd`] if an offset is beyond the end of its partition: the log lost records, or the offset is of
    /// another log. A reader never starts over by itself.
    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError>;
}

/// A stream of batches. Cancel safe: a dropped `next` loses nothing.
#[async_trait]
pub trait Reader: Send {
    /// Waits for the next records of any of its partitions, and returns them.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] may pass: call again. The others are final for this reader.
    async fn next(&mut self) -> Result<Batch, LogError>;
}

/// An error of the log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// The log is unavailable. It may pass: call again.
    #[error("the log does not answer: {0}")]
    Unavailable(String),
    /// The engine's queue is full; the record was not written.
    #[error("the queue of the log's producer is full")]
    QueueFull,
    /// The offset is beyond the end of the partition.
    #[error("{source_partition} ends at {end}, but a position says {wanted}: the log lost records or is another one")]
    BeyondEnd {
        /// The partition.
        source_partition: TopicPartition,
        /// The requested offset.
        wanted: Offset,
        /// The first offset not yet written.
        end: Offset,
    },
    /// The first records of a partition that is kept for ever are gone.
    #[error("{source_partition} begins at {start}, but a position says {wanted}: records that views need were deleted")]
    BeforeStart {
        /// The partition.
        source_partition: TopicPartition,
        /// The requested offset.
        wanted: Offset,
        /// The first offset that is left.
        start: Offset,
    },
    /// The record is above the limit of the engine or broker.
    #[error("a record of {bytes} bytes is larger than the log takes")]
    TooLarge {
        /// Bytes of key and value.
        bytes: usize,
    },
    /// The topic does not exist: it was not created, or not every broker has its metadata yet.
    #[error("there is no topic {0}: create the topics first")]
    NoTopic(String),
    /// The partition does not exist, or the topic has another number of partitions than configured.
    #[error("{0}")]
    Topics(String),
    /// The error cannot pass by itself: a broken file, a full disk, a refused credential.
    #[error("the log failed: {0}")]
    Fatal(String),
}
