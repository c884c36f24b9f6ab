//! An engine in memory that is faulty on purpose. Under tokio's paused time, on one thread, its behaviour follows from its
//! seed and the order of the calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::faults::{Faults, draw};
use super::memory::Memory;
use crate::limits::{BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use crate::{Appended, Batch, Log, LogError, NewRecord, Offset, Reader, Record, Topic, TopicPartition};

/// An engine in memory, for tests: in order and at once, or with the [`Faults`] it was given.
pub struct FaultyLog {
    shared: Arc<Shared>,
}

struct Shared {
    faults: Faults,
    memory: Mutex<Memory>,
    /// Counts up when a record landed, or can be read again.
    changed: watch::Sender<u64>,
    /// Wakes the driver to look at its schedule.
    wake: Notify,
}

impl FaultyLog {
    /// Makes a new log. To be called within a runtime, for late records land in a task.
    pub fn new(partitions: u32, faults: Faults) -> Arc<FaultyLog> {
        let memory = Mutex::new(Memory::new(partitions, faults.clone()));
        let shared = Arc::new(Shared { faults, memory, changed: watch::Sender::new(0), wake: Notify::new() });
        tokio::spawn(drive(Arc::clone(&shared)));
        Arc::new(FaultyLog { shared })
    }

    /// Makes a new log without faults.
    pub fn plain(partitions: u32) -> Arc<FaultyLog> {
        FaultyLog::new(partitions, Faults::none())
    }

    /// Pauses or resumes a partition: meanwhile no record of it lands or can be read. A record that waits longer than
    /// `append_timeout` ends as unknown, and then lands when the partition resumes, or never, by the seed.
    pub fn pause(&self, of: TopicPartition, paused: bool) {
        self.change(|memory, now| memory.pause(of, paused, now));
    }

    /// Makes the whole log unavailable or available again, as [`FaultyLog::pause`] does with one partition. Readers fail with
    /// [`LogError::Unavailable`] once, requests for an end as long as it lasts.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.change(|memory, now| memory.set_unavailable(unavailable, now));
    }

    /// Ends all faults, with the delays of [`Faults::slow`]. Records in flight keep their fate.
    pub fn calm(&self) {
        self.change(|memory, _| memory.calm());
    }

    /// Waits until no record is in flight: each that was appended has landed, or never will.
    pub async fn settled(&self) {
        while let Some(next) = self.next_event() {
            tokio::time::sleep_until(next).await;
            // Now the driver makes it happen.
            tokio::task::yield_now().await;
        }
    }

    fn next_event(&self) -> Option<Instant> {
        self.shared.memory.lock().next_event()
    }

    /// The records of a partition.
    pub fn records(&self, of: TopicPartition) -> Vec<Record> {
        self.records_from(of, Offset::ZERO)
    }

    /// The records of a partition from an offset on.
    pub fn records_from(&self, of: TopicPartition, from: Offset) -> Vec<Record> {
        self.shared.memory.lock().read(of, from, usize::MAX)
    }

    /// The timestamp of records that land now: milliseconds since 1970, from one fixed moment on in every run.
    pub fn clock_ms(&self) -> i64 {
        self.shared.memory.lock().clock_ms(Instant::now())
    }

    /// Cuts a partition short, as a loss of the newest records does. The next records take their offsets.
    pub fn cut(&self, of: TopicPartition, end: Offset) {
        self.change(|memory, _| memory.cut(of, end));
    }

    /// Puts a record into the log at once, without a fault and with any headers.
    pub(super) fn land(&self, to: TopicPartition, record: NewRecord) -> Offset {
        let mut landed = Offset::ZERO;
        self.change(|memory, now| landed = memory.land(to, record, now));
        landed
    }

    fn change(&self, change: impl FnOnce(&mut Memory, Instant)) {
        change(&mut self.shared.memory.lock(), Instant::now());
        self.shared.changed.send_modify(|count| *count += 1);
        self.shared.wake.notify_one();
    }
}

impl Drop for FaultyLog {
    fn drop(&mut self) {
        self.shared.memory.lock().close();
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn read_unavailable(&self) -> f64 {
        self.memory.lock().faults().read_unavailable
    }
}

/// Makes the scheduled events happen when they are due.
async fn drive(shared: Arc<Shared>) {
    loop {
        let wake = shared.wake.notified();
        let next = {
            let mut memory = shared.memory.lock();
            if memory.advance(Instant::now()) {
                shared.changed.send_modify(|count| *count += 1);
            }
            if memory.is_over() {
                return;
            }
            memory.next_event()
        };
        match next {
            None => wake.await,
            Some(next) => tokio::select! {
                () = wake => {}
                () = tokio::time::sleep_until(next) => {}
            },
        }
    }
}

#[async_trait]
impl Log for FaultyLog {
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        Ok(self.shared.memory.lock().partitions(topic))
    }

    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>> {
        let count = records.len();
        let (reply, outcome) = oneshot::channel();
        {
            let mut memory = self.shared.memory.lock();
            let now = Instant::now();
            // Events that were due before this call happen before it.
            let mut landed = memory.advance(now);
            memory.append(to, records, RECORD_BYTES_MAX, reply, now);
            landed |= memory.advance(now);
            if landed {
                self.shared.changed.send_modify(|count| *count += 1);
            }
        }
        self.shared.wake.notify_one();
        let gone = move |_| vec![Appended::Unknown(LogError::Unavailable("it was dropped".into())); count];
        outcome.map(move |outcome| outcome.unwrap_or_else(gone)).boxed()
    }

    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        self.shared.memory.lock().end(of)
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        let number = {
            let mut memory = self.shared.memory.lock();
            for (of, wanted) in &from {
                let end = memory.end(*of)?;
                if *wanted > end {
                    return Err(LogError::BeyondEnd { source_partition: *of, wanted: *wanted, end });
                }
            }
            memory.next_reader()
        };
        Ok(Box::new(FaultyReader {
            shared: Arc::clone(&self.shared),
            changed: self.shared.changed.subscribe(),
            cursors: from,
            turn: 0,
            reported: false,
            rng: StdRng::seed_from_u64(self.shared.faults.seed ^ (number << 32)),
        }))
    }
}

struct FaultyReader {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    cursors: Vec<(TopicPartition, Offset)>,
    turn: usize,
    reported: bool,
    rng: StdRng,
}

impl FaultyReader {
    /// The index of a partition that has records to read, looked at in turn.
    fn ready(&mut self) -> Result<Option<usize>, LogError> {
        let memory = self.shared.memory.lock();
        if memory.is_unavailable() {
            if std::mem::replace(&mut self.reported, true) {
                return Ok(None);
            }
            return Err(LogError::Unavailable("switched off".into()));
        }
        self.reported = false;
        for step in 0..self.cursors.len() {
            let turn = (self.turn + step) % self.cursors.len();
            let (source, from) = self.cursors[turn];
            match memory.readable(source) {
                Some(end) if from < end => return Ok(Some(turn)),
                Some(end) if from > end => {
                    return Err(LogError::BeyondEnd { source_partition: source, wanted: from, end });
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn take(&mut self, turn: usize) -> Batch {
        let faulty = !self.shared.faults.read_delay.is_empty();
        let count = if faulty { self.rng.random_range(1..=BATCH_RECORDS_MAX) } else { BATCH_RECORDS_MAX };
        let (source, from) = self.cursors[turn];
        let records = self.shared.memory.lock().read(source, from, count);
        self.cursors[turn].1 = records.last().map_or(from, |last| last.offset.next());
        self.turn = turn + 1;
        Batch { source, records }
    }
}

#[async_trait]
impl Reader for FaultyReader {
    async fn next(&mut self) -> Result<Batch, LogError> {
        let mut delay = draw(&mut self.rng, &self.shared.faults.read_delay);
        loop {
            self.changed.borrow_and_update();
            let Some(turn) = self.ready()? else {
                self.changed.changed().await.map_err(|_| LogError::Fatal("it was dropped".into()))?;
                continue;
            };
            if delay > Duration::ZERO {
                tokio::time::sleep(std::mem::take(&mut delay)).await;
                continue;
            }
            if self.rng.random_bool(self.shared.read_unavailable()) {
                return Err(LogError::Unavailable("a read failed, by the seed".into()));
            }
            let batch = self.take(turn);
            if !batch.records.is_empty() {
                return Ok(batch);
            }
        }
    }
}
