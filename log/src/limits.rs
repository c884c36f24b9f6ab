//! Fixed limits of the log, and how they stand to each other.

/// Bytes of key and value of one record, in every engine. An event is at most 256 KB; the rest is reserve.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// The `max.message.bytes` of Kafka topics: a record at its limit plus headers and framing.
pub(crate) const KAFKA_MESSAGE_BYTES_MAX: usize = 3 << 19;

/// Records in one [`Batch`](crate::Batch) at most, so that a reader yields to its caller.
pub(crate) const BATCH_RECORDS_MAX: usize = 512;

/// Bytes of keys and values after which a [`Batch`](crate::Batch) ends.
pub(crate) const BATCH_BYTES_MAX: usize = 4 << 20;

const _: () = assert!(RECORD_BYTES_MAX < KAFKA_MESSAGE_BYTES_MAX);
const _: () = assert!(RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
