//! The bounded queue between the callers of `append` and the one writer.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::{LogError, NewRecord, Offset, TopicPartition};

/// The outcome of the records of one call, which share a transaction.
pub(super) enum Outcome {
    /// Durable, from this offset on without a hole.
    At(Offset),
    Failed(LogError),
    Unknown(LogError),
}

/// The records of one call of `append` that found room.
pub(super) struct Job {
    pub(super) to: TopicPartition,
    pub(super) records: Vec<NewRecord>,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Outcome>,
}

/// The queue, bounded in records and bytes. Both are counted until the outcome is known.
pub(super) struct Queue {
    records_max: usize,
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    pub(super) wake: Notify,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Records that wait or are being written; `bytes` likewise.
    records: usize,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(records_max: usize, bytes_max: usize) -> Queue {
        Queue { records_max, bytes_max, waiting: Mutex::default(), wake: Notify::new() }
    }

    /// Queues as many of `records`, from the first on, as find room. Returns their number and the receiver of their outcome.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] once the log is closing.
    pub(super) fn push(
        &self,
        to: TopicPartition,
        mut records: Vec<NewRecord>,
    ) -> Result<(usize, oneshot::Receiver<Outcome>), LogError> {
        let (reply, outcome) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(LogError::Unavailable("it is being closed".into()));
        }
        let (mut taken, mut bytes) = (0, 0);
        for record in &records {
            let more = bytes + bytes_of(record);
            if waiting.records + taken + 1 > self.records_max || waiting.bytes + more > self.bytes_max {
                break;
            }
            (taken, bytes) = (taken + 1, more);
        }
        records.truncate(taken);
        if taken > 0 {
            waiting.records += taken;
            waiting.bytes += bytes;
            waiting.jobs.push_back(Job { to, records, bytes, reply });
        }
        drop(waiting);
        self.wake.notify_one();
        Ok((taken, outcome))
    }

    /// Takes the oldest jobs, of about `records_max` records and `bytes_max` bytes together.
    pub(super) fn take(&self, records_max: usize, bytes_max: usize) -> Vec<Job> {
        let mut waiting = self.waiting.lock();
        let (mut records, mut bytes, mut jobs) = (0, 0, Vec::new());
        while records < records_max && bytes < bytes_max {
            let Some(job) = waiting.jobs.pop_front() else { break };
            records += job.records.len();
            bytes += job.bytes;
            jobs.push(job);
        }
        jobs
    }

    /// Frees the room of a finished job. To be called before the outcome is sent, so that the caller may append again.
    pub(super) fn release(&self, records: usize, bytes: usize) {
        let mut waiting = self.waiting.lock();
        waiting.records -= records;
        waiting.bytes -= bytes;
    }

    /// Rejects new jobs from now on. Jobs that wait are still written.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }

    pub(super) fn closed(&self) -> bool {
        self.waiting.lock().closed
    }

    /// The number of records that wait or are being written.
    pub(super) fn depth(&self) -> usize {
        self.waiting.lock().records
    }
}

fn bytes_of(record: &NewRecord) -> usize {
    [&record.key, &record.value, &record.writer, &record.traceparent]
        .into_iter()
        .map(|part| part.as_ref().map_or(0, bytes::Bytes::len))
        .sum()
}
