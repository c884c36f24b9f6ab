//! The trait that both engines, and the faulty one of the tests, implement.

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{NewRecord, Offset, Record, Topic, TopicPartition};

/// What is known of one record after an append.
#[derive(Clone, Debug)]
pub enum Appended {
    /// Durable, at this offset.
    At(Offset),
    /// Surely not in the log, now or later.
    Failed(LogError),
    /// It may be in the log, or come into it later. Never to be reported as "failed".
    Unknown(LogError),
}

/// Records of one partition, in offset order, without a hole that the engine knows of.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they come from.
    pub source: TopicPartition,
    /// The records; never empty.
    pub records: Vec<Record>,
}

/// Append and read over (topic, partition).
///
/// Ordering: the records of one `append` keep their order, and so do the calls for one partition in the order in which
/// `append` was *called* (not polled). After one that failed or is unknown, later ones may still go in: the fence's
/// `seq` is what makes them void.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// The number of partitions of `topic`; it never changes.
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError>;

    /// Queues `records` and returns at once; the future ends when the outcome of each is known, one an input, in order.
    ///
    /// Nothing is lost by dropping the future. The engine bounds its queue: a record that finds no room is
    /// [`Appended::Failed`] with [`LogError::QueueFull`].
    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>>;

    /// The first offset not yet written, as of some moment after the call.
    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError>;

    /// A reader over any number of partitions, each from its offset.
    ///
    /// # Errors
    /// [`LogError::BeyondEnd`] if an offset lies beyond the end of its partition: the log lost something, or the
    /// position is of another log. A reader never starts over by itself.
    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError>;
}

/// A stream of batches. Cancel safe: a dropped `next` loses nothing.
#[async_trait]
pub trait Reader: Send {
    /// The next records of any of its partitions; waits until there are some.
    ///
    /// # Errors
    /// [`LogError::Away`] may pass: call again. The others are final for this reader.
    async fn next(&mut self) -> Result<Batch, LogError>;
}

/// What can go wrong with the log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// The log does not answer; it may come back.
    #[error("the log does not answer: {0}")]
    Away(String),
    /// The engine's queue is full; nothing was written.
    #[error("the queue of the log's producer is full")]
    QueueFull,
    /// An offset beyond the end.
    #[error("{source_partition} ends at {end}, but a position says {wanted}: the log lost something or is another one")]
    BeyondEnd {
        /// The partition.
        source_partition: TopicPartition,
        /// The offset that was asked for.
        wanted: Offset,
        /// The first offset not written.
        end: Offset,
    },
    /// The beginning of a partition that is kept for ever is gone.
    #[error("{source_partition} begins at {start}, but a position says {wanted}: records that views need were deleted")]
    BeforeStart {
        /// The partition.
        source_partition: TopicPartition,
        /// The offset that was asked for.
        wanted: Offset,
        /// The first offset that is left.
        start: Offset,
    },
    /// A record above the limit of the engine or broker.
    #[error("a record of {bytes} bytes is larger than the log takes")]
    TooLarge {
        /// Bytes of key and value.
        bytes: usize,
    },
    /// A topic is not there: it was not made, or not every broker has heard of it yet.
    #[error("there is no topic {0}: create the topics first")]
    NoTopic(String),
    /// A partition is not there, or a topic has another number of partitions than it was made with.
    #[error("{0}")]
    Topics(String),
    /// Anything that cannot pass by itself: a broken file, a full disk, a refused credential.
    #[error("the log failed: {0}")]
    Fatal(String),
}
