//! The state of a faulty log: its records, and the scheduled events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::faults::{Fate, Faults, draw};
use crate::{Appended, LogError, NewRecord, Offset, Partition, Record, Topic, TopicPartition};

/// The time at which every log is made, in milliseconds since 1970.
const BEGINNING_MS: i64 = 1_767_225_600_000;

pub(super) struct Memory {
    count: u32,
    faults: Faults,
    rng: StdRng,
    made: Instant,
    partitions: BTreeMap<TopicPartition, MemoryPartition>,
    /// Scheduled events, by time and then by the order in which they were planned.
    events: BTreeMap<(Instant, u64), Event>,
    planned: u64,
    readers: u64,
    /// Records whose outcome is open.
    open: usize,
    unavailable: bool,
    closed: bool,
}

/// A partition: its records, oldest first.
struct MemoryPartition {
    records: Vec<Record>,
    paused: bool,
    /// The time at which the newest record that keeps its order lands.
    order: Instant,
    /// Records that were due while none could land, oldest first.
    backlog: VecDeque<Landing>,
}

struct Landing {
    number: u64,
    record: NewRecord,
    ticket: Option<Ticket>,
}

enum Event {
    Land(TopicPartition, Landing),
    Report(Ticket, Appended),
    /// The landing with this number has waited for its timeout.
    Expire(TopicPartition, u64),
    Resume(TopicPartition),
}

/// The ticket of a record of a call, on which its outcome is reported.
struct Ticket {
    call: Arc<Mutex<Call>>,
    index: usize,
}

struct Call {
    outcomes: Vec<Option<Appended>>,
    left: usize,
    reply: Option<oneshot::Sender<Vec<Appended>>>,
}

impl Memory {
    pub(super) fn new(count: u32, faults: Faults) -> Memory {
        let made = Instant::now();
        let all = Topic::ALL.into_iter().flat_map(|topic| {
            let count = topic.partitions(count);
            (0..count).map(move |partition| TopicPartition { topic, partition: Partition(partition) })
        });
        let new = || MemoryPartition { records: Vec::new(), paused: false, order: made, backlog: VecDeque::new() };
        Memory {
            count,
            rng: StdRng::seed_from_u64(faults.seed),
            faults,
            made,
            partitions: all.map(|of| (of, new())).collect(),
            events: BTreeMap::new(),
            planned: 0,
            readers: 0,
            open: 0,
            unavailable: false,
            closed: false,
        }
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        topic.partitions(self.count)
    }

    pub(super) fn next_reader(&mut self) -> u64 {
        self.readers += 1;
        self.readers
    }

    pub(super) const fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(super) fn calm(&mut self) {
        self.faults = Faults { queue_records_max: self.faults.queue_records_max, ..Faults::slow(self.faults.seed) };
    }

    pub(super) const fn is_unavailable(&self) -> bool {
        self.unavailable
    }

    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether no caller can append any more and no event is scheduled.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.events.is_empty()
    }

    pub(super) fn next_event(&self) -> Option<Instant> {
        self.events.keys().next().map(|(when, _)| *when)
    }

    /// # Errors
    /// [`LogError::Topics`] if there is no such partition, [`LogError::Unavailable`] if it does not answer.
    pub(super) fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        let Some(partition) = self.partitions.get(&of) else { return Err(self.no_such(of)) };
        if self.unavailable || partition.paused {
            return Err(LogError::Unavailable("switched off".into()));
        }
        Ok(Offset(partition.records.len() as u64))
    }

    /// The end of a partition, if the partition can be read now.
    pub(super) fn readable(&self, of: TopicPartition) -> Option<Offset> {
        self.end(of).ok()
    }

    pub(super) fn read(&self, of: TopicPartition, from: Offset, count: usize) -> Vec<Record> {
        let records = self.partitions.get(&of).map_or(&[][..], |partition| &partition.records);
        let from = usize::try_from(from.0).unwrap_or(usize::MAX).min(records.len());
        records[from..].iter().take(count).cloned().collect()
    }

    pub(super) fn cut(&mut self, of: TopicPartition, end: Offset) {
        if let Some(partition) = self.partitions.get_mut(&of) {
            partition.records.truncate(usize::try_from(end.0).unwrap_or(usize::MAX));
        }
    }

    /// Draws the fate of each record and schedules it.
    pub(super) fn append(
        &mut self,
        to: TopicPartition,
        records: Vec<NewRecord>,
        record_bytes_max: usize,
        reply: oneshot::Sender<Vec<Appended>>,
        now: Instant,
    ) {
        let count = records.len();
        let call = Arc::new(Mutex::new(Call { outcomes: vec![None; count], left: count, reply: Some(reply) }));
        if count == 0 {
            call.lock().finish();
        }
        // As in the other engines: after a record that finds no room, the later ones of its call find none either.
        let mut full = false;
        for (index, record) in records.into_iter().enumerate() {
            let ticket = Ticket { call: Arc::clone(&call), index };
            let bytes =
                record.key.as_ref().map_or(0, bytes::Bytes::len) + record.value.as_ref().map_or(0, bytes::Bytes::len);
            let refusal = if !self.partitions.contains_key(&to) {
                Some(self.no_such(to))
            } else if bytes > record_bytes_max {
                Some(LogError::TooLarge { bytes })
            } else {
                full |= self.open == self.faults.queue_records_max;
                full.then_some(LogError::QueueFull)
            };
            match refusal {
                Some(error) => ticket.settle(Appended::Failed(error)),
                None => {
                    self.open += 1;
                    self.plan_append(to, record, ticket, now);
                }
            }
        }
    }

    fn plan_append(&mut self, to: TopicPartition, record: NewRecord, ticket: Ticket, now: Instant) {
        let fate = self.faults.fate(&mut self.rng);
        let delay = draw(&mut self.rng, &self.faults.append_delay);
        let later = draw(&mut self.rng, &self.faults.later);
        let expires = now + self.faults.append_timeout;
        let unknown = || Appended::Unknown(LogError::Unavailable("no answer in time, by the seed".into()));
        let Some(partition) = self.partitions.get_mut(&to) else { return };
        let lands = partition.order.max(now + delay);
        let keeps_order = matches!(fate, Fate::Lands | Fate::Unreported | Fate::Doubled);
        if keeps_order {
            partition.order = lands;
        }
        match fate {
            Fate::Lands => self.plan_landing(lands, to, record, Some(ticket)),
            Fate::Refused => {
                let refused = Appended::Failed(LogError::Unavailable("refused, by the seed".into()));
                self.plan(lands, Event::Report(ticket, refused));
            }
            Fate::Lost => self.plan(expires, Event::Report(ticket, unknown())),
            Fate::Unreported => {
                self.plan_landing(lands, to, record, None);
                self.plan(expires, Event::Report(ticket, unknown()));
            }
            Fate::Late => {
                self.plan(expires, Event::Report(ticket, unknown()));
                self.plan_landing(expires.max(lands) + later, to, record, None);
            }
            Fate::Overtaken => self.plan_landing(lands + later, to, record, Some(ticket)),
            Fate::Doubled => {
                self.plan_landing(lands, to, record.clone(), Some(ticket));
                self.plan_landing(lands + later, to, record, None);
            }
        }
        if self.rng.random_bool(self.faults.paused) {
            let pause = draw(&mut self.rng, &self.faults.pause);
            self.pause(to, true, now);
            self.plan(now + pause, Event::Resume(to));
        }
    }

    fn plan_landing(&mut self, when: Instant, to: TopicPartition, record: NewRecord, ticket: Option<Ticket>) {
        let number = self.planned;
        self.plan(when, Event::Land(to, Landing { number, record, ticket }));
    }

    fn plan(&mut self, when: Instant, event: Event) {
        self.events.insert((when, self.planned), event);
        self.planned += 1;
    }

    /// Makes the events happen that are due. Returns whether a reader may see a difference.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        let mut visible = false;
        while let Some(first) = self.events.first_entry() {
            if first.key().0 > now {
                break;
            }
            match first.remove() {
                Event::Land(to, landing) => visible |= self.arrive(to, landing, now),
                Event::Report(ticket, appended) => self.report(ticket, appended),
                Event::Expire(of, number) => self.expire(of, number),
                Event::Resume(of) => {
                    self.pause(of, false, now);
                    visible = true;
                }
            }
        }
        visible
    }

    /// Lands a record, or keeps it in the backlog while none can land.
    fn arrive(&mut self, to: TopicPartition, landing: Landing, now: Instant) -> bool {
        let Some(partition) = self.partitions.get_mut(&to) else { return false };
        if self.unavailable || partition.paused {
            let number = landing.number;
            partition.backlog.push_back(landing);
            self.plan(now + self.faults.append_timeout, Event::Expire(to, number));
            return false;
        }
        let offset = self.land(to, landing.record, now);
        if let Some(ticket) = landing.ticket {
            let delay = draw(&mut self.rng, &self.faults.ack_delay);
            self.plan(now + delay, Event::Report(ticket, Appended::At(offset)));
        }
        true
    }

    /// Reports a waiting record as unknown. By the seed it lands once it can, or never.
    fn expire(&mut self, of: TopicPartition, number: u64) {
        let Some(partition) = self.partitions.get_mut(&of) else { return };
        let Some(waiting) = partition.backlog.iter().position(|landing| landing.number == number) else { return };
        let ticket = partition.backlog[waiting].ticket.take();
        if self.rng.random_bool(0.5) {
            partition.backlog.remove(waiting);
        }
        if let Some(ticket) = ticket {
            self.report(ticket, Appended::Unknown(LogError::Unavailable("no answer in time".into())));
        }
    }

    pub(super) fn clock_ms(&self, now: Instant) -> i64 {
        let since = i64::try_from(now.duration_since(self.made).as_millis()).unwrap_or(i64::MAX);
        BEGINNING_MS.saturating_add(since)
    }

    pub(super) fn land(&mut self, to: TopicPartition, record: NewRecord, now: Instant) -> Offset {
        let timestamp_ms = self.clock_ms(now);
        let Some(MemoryPartition { records, .. }) = self.partitions.get_mut(&to) else { panic!("there is no {to}") };
        let offset = Offset(records.len() as u64);
        let NewRecord { key, value, stamp, .. } = record;
        records.push(Record { offset, key, value, stamp, timestamp_ms });
        offset
    }

    pub(super) fn pause(&mut self, of: TopicPartition, paused: bool, now: Instant) {
        if let Some(partition) = self.partitions.get_mut(&of) {
            partition.paused = paused;
        }
        self.release(of, now);
    }

    pub(super) fn set_unavailable(&mut self, unavailable: bool, now: Instant) {
        self.unavailable = unavailable;
        for of in self.partitions.keys().copied().collect::<Vec<_>>() {
            self.release(of, now);
        }
    }

    /// Lands the backlog, if records can land now.
    fn release(&mut self, of: TopicPartition, now: Instant) {
        let Some(partition) = self.partitions.get_mut(&of) else { return };
        if self.unavailable || partition.paused {
            return;
        }
        for landing in std::mem::take(&mut partition.backlog) {
            self.arrive(of, landing, now);
        }
    }

    fn report(&mut self, ticket: Ticket, appended: Appended) {
        self.open -= 1;
        ticket.settle(appended);
    }

    fn no_such(&self, of: TopicPartition) -> LogError {
        LogError::Topics(format!("there is no {of}: the topic has {} partitions", self.partitions(of.topic)))
    }
}

impl Ticket {
    fn settle(self, appended: Appended) {
        let mut call = self.call.lock();
        call.outcomes[self.index] = Some(appended);
        call.left -= 1;
        if call.left == 0 {
            call.finish();
        }
    }
}

impl Call {
    fn finish(&mut self) {
        if let Some(reply) = self.reply.take() {
            // The caller may have dropped its future.
            let _ = reply.send(std::mem::take(&mut self.outcomes).into_iter().flatten().collect());
        }
    }
}
