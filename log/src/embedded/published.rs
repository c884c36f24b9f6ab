//! The state that the writer publishes to the readers: each partition's end and newest records, and a change counter.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use crate::{LogError, Offset, Record, Topic, TopicPartition};

/// Records that a partition's tail holds. A reader that lags no further does not read the file.
const TAIL_RECORDS_MAX: usize = 512;
/// Bytes of a partition's tail.
const TAIL_BYTES_MAX: usize = 256 << 10;

/// The published state of all partitions.
pub(super) struct Published {
    partitions: u32,
    each: Vec<PublishedPartition>,
    /// Counts publications. None once the log is closed: dropping the sender wakes the readers that wait.
    changed: Mutex<Option<watch::Sender<u64>>>,
}

/// A partition that readers wait for.
struct PublishedPartition {
    end: AtomicU64,
    tail: Mutex<Tail>,
}

#[derive(Default)]
struct Tail {
    records: VecDeque<Record>,
    bytes: usize,
}

impl Published {
    pub(super) fn new(partitions: u32) -> Published {
        let count = Topic::ALL.iter().map(|topic| topic.partitions(partitions) as usize).sum();
        let new = || PublishedPartition { end: AtomicU64::new(0), tail: Mutex::default() };
        let each = (0..count).map(|_| new()).collect();
        Published { partitions, each, changed: Mutex::new(Some(watch::Sender::new(0))) }
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        topic.partitions(self.partitions)
    }

    /// Every partition of every topic.
    pub(super) fn all(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        Topic::ALL.into_iter().flat_map(|topic| {
            (0..self.partitions(topic))
                .map(move |partition| TopicPartition { topic, partition: crate::Partition(partition) })
        })
    }

    /// # Errors
    /// [`LogError::Topics`] if there is no such partition.
    pub(super) fn check(&self, of: TopicPartition) -> Result<(), LogError> {
        let count = self.partitions(of.topic);
        if of.partition.0 < count {
            return Ok(());
        }
        Err(LogError::Topics(format!("there is no {of}: the topic has {count} partitions")))
    }

    /// The state of a partition that has passed [`Published::check`].
    fn one(&self, of: TopicPartition) -> &PublishedPartition {
        let before: u32 =
            Topic::ALL.iter().take_while(|topic| **topic != of.topic).map(|topic| self.partitions(*topic)).sum();
        &self.each[(before + of.partition.0) as usize]
    }

    pub(super) fn end(&self, of: TopicPartition) -> Offset {
        Offset(self.one(of).end.load(Ordering::Acquire))
    }

    /// A publication counter to wait on; `None` once the log is closed.
    pub(super) fn watch(&self) -> Option<watch::Receiver<u64>> {
        self.changed.lock().as_ref().map(watch::Sender::subscribe)
    }

    /// Keeps durable records. They are read only once [`Published::set_end`] has moved the end after them.
    pub(super) fn keep(&self, of: TopicPartition, records: Vec<Record>) {
        let mut tail = self.one(of).tail.lock();
        for record in records {
            tail.bytes += record.bytes();
            tail.records.push_back(record);
        }
        while tail.records.len() > TAIL_RECORDS_MAX || tail.bytes > TAIL_BYTES_MAX {
            let Some(oldest) = tail.records.pop_front() else { break };
            tail.bytes -= oldest.bytes();
        }
    }

    /// Moves an end, without waking readers.
    pub(super) fn set_end(&self, of: TopicPartition, end: Offset) {
        self.one(of).end.store(end.0, Ordering::Release);
    }

    /// Drops the tail of a partition whose end in the file is not the one that the writer assumed.
    pub(super) fn forget(&self, of: TopicPartition) {
        *self.one(of).tail.lock() = Tail::default();
    }

    /// Wakes every reader.
    pub(super) fn publish(&self) {
        if let Some(changed) = self.changed.lock().as_ref() {
            changed.send_modify(|count| *count += 1);
        }
    }

    /// Closes the log for readers: every wait ends with an error, now and later.
    pub(super) fn close(&self) {
        self.changed.lock().take();
    }

    /// The records of `[from, end)`, at most a batch of them, if the tail reaches back that far. The tail has no holes.
    pub(super) fn recent(&self, of: TopicPartition, from: Offset, end: Offset) -> Option<Vec<Record>> {
        let tail = self.one(of).tail.lock();
        let first = tail.records.front()?.offset;
        let skip = usize::try_from(from.0.checked_sub(first.0)?).ok()?;
        let mut bytes = 0;
        let records: Vec<Record> = tail
            .records
            .iter()
            .skip(skip)
            .take(BATCH_RECORDS_MAX)
            .take_while(|record| {
                let fits = bytes < BATCH_BYTES_MAX;
                bytes += record.bytes();
                fits && record.offset < end
            })
            .cloned()
            .collect();
        (!records.is_empty()).then_some(records)
    }
}
