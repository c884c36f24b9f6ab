//! Appending: a few idempotent producers, exactly one for a partition, and the meaning of their delivery reports.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::client::{Quiet, producing};
use super::config::KafkaConfig;
use super::query::number;
use crate::{Appended, LogError, NewRecord, Offset, TopicPartition};

type Client = ThreadedProducer<Reports>;

/// The producers. One of librdkafka's drains all of its partitions when a message of one timed out: hence several.
pub(super) struct Producers {
    config: KafkaConfig,
    slots: Vec<RwLock<Arc<Client>>>,
    room: Arc<Room>,
}

/// The bounded room for records in flight.
struct Room {
    records_max: usize,
    bytes_max: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    records: usize,
    bytes: usize,
    closed: bool,
}

/// A call of `append`, which ends with the last of its records.
struct Call {
    state: Mutex<CallState>,
}

struct CallState {
    outcomes: Vec<Option<Appended>>,
    left: usize,
    reply: Option<oneshot::Sender<Vec<Appended>>>,
}

/// The ticket of a record, which librdkafka carries and returns with the record's report.
pub(super) struct Ticket {
    call: Arc<Call>,
    room: Arc<Room>,
    index: usize,
    record_bytes: usize,
    queue_bytes: usize,
}

/// A producer context that settles tickets, from the producer's polling thread.
pub(super) struct Reports;

impl Producers {
    pub(super) fn new(config: &KafkaConfig) -> Result<Producers, LogError> {
        let slots: Result<Vec<_>, LogError> =
            (0..config.producers.max(1)).map(|_| Ok(RwLock::new(Arc::new(client(config)?)))).collect();
        let room =
            Room { records_max: config.queue_records_max, bytes_max: config.queue_bytes_max, used: Mutex::default() };
        Ok(Producers { config: config.clone(), slots: slots?, room: Arc::new(room) })
    }

    /// Gives records to the partition's producer, in order, before it returns. `errors` has the error of each input that was
    /// refused before; `records` are the others.
    pub(super) fn append(
        &self,
        to: TopicPartition,
        topic: &str,
        records: &[NewRecord],
        errors: Vec<Option<LogError>>,
    ) -> oneshot::Receiver<Vec<Appended>> {
        let (reply, outcome) = oneshot::channel();
        let (taken, no_room) = self.room.take(records);
        let mut indexes = Vec::with_capacity(taken);
        let outcomes: Vec<Option<Appended>> = errors
            .into_iter()
            .enumerate()
            .map(|(index, error)| match error {
                Some(error) => Some(Appended::Failed(error)),
                None if indexes.len() < taken => {
                    indexes.push(index);
                    None
                }
                None => Some(Appended::Failed(no_room.clone())),
            })
            .collect();
        if taken == 0 {
            let _ = reply.send(outcomes.into_iter().flatten().collect());
            return outcome;
        }
        let state = CallState { outcomes, left: taken, reply: Some(reply) };
        let call = Arc::new(Call { state: Mutex::new(state) });
        let slot = &self.slots[self.slot(to)];
        let producer = Arc::clone(&slot.read());
        for (index, record) in indexes.into_iter().zip(records) {
            let ticket = Box::new(Ticket {
                call: Arc::clone(&call),
                room: Arc::clone(&self.room),
                index,
                record_bytes: bytes(record),
                queue_bytes: queue_bytes(record),
            });
            let mut message = BaseRecord::with_opaque_to(topic, ticket).partition(number(to)).headers(headers(record));
            message.key = record.key.as_deref();
            message.payload = record.value.as_deref();
            if let Err((error, message)) = producer.send(message) {
                let ticket = message.delivery_opaque;
                let failed = unsent(&error, to, ticket.record_bytes);
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    self.replace(slot, &producer);
                }
                ticket.settle(Appended::Failed(failed));
            }
        }
        outcome
    }

    /// The index of a partition's producer. It depends on the topic too, so that partition 0 of all topics is spread.
    fn slot(&self, to: TopicPartition) -> usize {
        let number = u64::from(to.partition.0) * 31 + to.topic as u64;
        usize::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap_or(0) % self.slots.len()
    }

    /// Replaces a producer that had a fatal error, and takes no record any more. Its records in flight end as unknown, so each
    /// writer of theirs claims anew, and the fence makes void what lands late.
    fn replace(&self, slot: &RwLock<Arc<Client>>, broken: &Arc<Client>) {
        let mut current = slot.write();
        if !Arc::ptr_eq(&current, broken) {
            return;
        }
        match client(&self.config) {
            Ok(new) => {
                tracing::warn!("a producer had a fatal error and was replaced");
                let old = std::mem::replace(&mut *current, Arc::new(new));
                // Ending it waits for its thread.
                std::thread::spawn(move || drop(old));
            }
            Err(error) => tracing::warn!(%error, "a producer had a fatal error and could not be replaced"),
        }
    }

    /// Rejects new records.
    pub(super) fn close(&self) {
        self.room.used.lock().closed = true;
    }

    /// Waits until every record's outcome is known. Blocks at most one second longer than the delivery timeout.
    pub(super) fn flush(&self) {
        let patience = Duration::from_millis(self.config.delivery_timeout_ms) + Duration::from_secs(1);
        for slot in &self.slots {
            let producer = Arc::clone(&slot.read());
            if let Err(error) = producer.flush(patience) {
                tracing::warn!(%error, "records were still in flight when the log was closed");
            }
        }
    }

    /// The number of records in flight.
    pub(super) fn depth(&self) -> usize {
        self.room.used.lock().records
    }
}

fn client(config: &KafkaConfig) -> Result<Client, LogError> {
    producing(config).create_with_context(Reports).map_err(|error| LogError::Fatal(error.to_string()))
}

impl Room {
    /// Takes room for as many of `records`, from the first on, as there is. Returns their number and the error of the rest.
    fn take(&self, records: &[NewRecord]) -> (usize, LogError) {
        let mut used = self.used.lock();
        if used.closed {
            return (0, LogError::Unavailable("it is being closed".into()));
        }
        let mut taken = 0;
        for record in records {
            let more = queue_bytes(record);
            if used.records == self.records_max || used.bytes + more > self.bytes_max {
                break;
            }
            used.records += 1;
            used.bytes += more;
            taken += 1;
        }
        (taken, LogError::QueueFull)
    }

    fn give_back(&self, bytes: usize) {
        let mut used = self.used.lock();
        used.records -= 1;
        used.bytes -= bytes;
    }
}

impl Ticket {
    fn settle(self, appended: Appended) {
        // Before the outcome is sent, so that the caller may append again.
        self.room.give_back(self.queue_bytes);
        let mut state = self.call.state.lock();
        state.outcomes[self.index] = Some(appended);
        state.left -= 1;
        if state.left == 0 {
            let outcomes = std::mem::take(&mut state.outcomes).into_iter().flatten().collect();
            if let Some(reply) = state.reply.take() {
                // The caller may have dropped its future.
                let _ = reply.send(outcomes);
            }
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let appended = match result {
            // A report without an offset is of a retry that the broker had already: in the log, at an unknown offset.
            Ok(message) => match u64::try_from(message.offset()) {
                Ok(offset) => Appended::At(Offset(offset)),
                Err(_) => Appended::Unknown(LogError::Unavailable("the broker did not say at which offset".into())),
            },
            Err((error, _)) => reported(error, ticket.record_bytes),
        };
        ticket.settle(appended);
    }
}

/// Maps a delivery report with an error. librdkafka retries by itself, so even a record that "was purged from the queue"
/// may have been sent before: only a record that a broker must refuse at every attempt has surely not landed.
fn reported(error: &KafkaError, bytes: usize) -> Appended {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            Appended::Failed(LogError::TooLarge { bytes })
        }
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition) => {
            Appended::Failed(LogError::Topics(format!("a record has no partition to go to: {error}")))
        }
        Some(RDKafkaErrorCode::InvalidRecord) => Appended::Failed(LogError::Fatal(error.to_string())),
        Some(_) | None => Appended::Unknown(LogError::Unavailable(error.to_string())),
    }
}

/// Maps the error of a record that librdkafka did not take.
fn unsent(error: &KafkaError, to: TopicPartition, bytes: usize) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => LogError::QueueFull,
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => LogError::TooLarge { bytes },
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition) => {
            LogError::Topics(format!("there is no {to}"))
        }
        Some(RDKafkaErrorCode::Fatal) => LogError::Unavailable("the producer had to be replaced".into()),
        Some(_) | None => LogError::Fatal(error.to_string()),
    }
}

fn bytes(record: &NewRecord) -> usize {
    record.key.as_ref().map_or(0, bytes::Bytes::len) + record.value.as_ref().map_or(0, bytes::Bytes::len)
}

fn queue_bytes(record: &NewRecord) -> usize {
    let header = |value: &Option<bytes::Bytes>| value.as_ref().map_or(0, bytes::Bytes::len);
    bytes(record) + header(&record.writer) + header(&record.traceparent)
}

fn headers(record: &NewRecord) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(5);
    for (key, value) in record.stamp.to_headers() {
        headers = headers.insert(Header { key, value: Some(value.as_bytes()) });
    }
    for (key, value) in [("writer", &record.writer), ("traceparent", &record.traceparent)] {
        if let Some(value) = value {
            headers = headers.insert(Header { key, value: Some(&value[..]) });
        }
    }
    headers
}
