//! One record, judged and decoded.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use uuid::Uuid;

use crate::{BARRIER_SCHEMA, Fence, Offset, Position, Record, Stamp, TopicPartition, Verdict, VoidReason};

/// A record as everybody in the process sees it.
#[derive(Debug)]
pub struct Entry<E> {
    /// Where it comes from.
    pub source: TopicPartition,
    /// Its offset.
    pub offset: Offset,
    /// The position behind it. Its `offset` is this entry's plus one.
    pub after: Position,
    /// What it is.
    pub body: Body<E>,
    /// Milliseconds since 1970, from the record.
    pub timestamp_ms: i64,
    /// Bytes of key and value as they lie in the log.
    pub bytes: usize,
}

/// What a record turned out to be.
#[derive(Debug)]
pub enum Body<E> {
    /// It counts.
    Event(Arc<E>),
    /// It counts and says that its key is gone (topics that are not fenced).
    Tombstone(Option<Bytes>),
    /// A claim that counts.
    Claim {
        /// The epoch that it opens.
        epoch: u64,
        /// What its sender knows it by.
        claim: Uuid,
    },
    /// A barrier that counts.
    Barrier,
    /// It does not count.
    Void(VoidReason),
    /// It counts, but this program cannot read it: a newer one's, or broken. Who would lose by skipping it must stop.
    Undecodable(Undecodable),
}

/// Why an event that counts cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{why}")]
pub struct Undecodable {
    /// The schema that it names, if it names one.
    pub schema_id: Option<u32>,
    /// The decoder's words.
    pub why: String,
}

/// Turns the value of a record that counts into an event.
pub type Decoder<E> = Arc<dyn Fn(&Record) -> Result<E, Undecodable> + Send + Sync>;

/// A decoder of records by their value alone; a record without one has an empty value.
pub fn decoder<E, W: fmt::Display>(read: impl Fn(&[u8]) -> Result<E, W> + Send + Sync + 'static) -> Decoder<E> {
    Arc::new(move |record| {
        let value = record.value.as_deref().unwrap_or_default();
        read(value).map_err(|why| Undecodable { schema_id: record.schema_id(), why: why.to_string() })
    })
}

impl<E> Entry<E> {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&Arc<E>> {
        match &self.body {
            Body::Event(event) => Some(event),
            _ => None,
        }
    }

    /// The `(epoch, seq)` of an event or barrier of a fenced topic.
    pub fn epoch_and_seq(&self) -> Option<(u64, u64)> {
        match self.body {
            Body::Event(_) | Body::Barrier | Body::Undecodable(_) => {
                Some((self.after.epoch, self.after.next_seq?.checked_sub(1)?))
            }
            _ => None,
        }
    }

    /// A rough number of bytes in memory.
    pub(super) fn cost(&self) -> usize {
        self.bytes + 192
    }
}

/// Judges the next record of `source` and decodes what counts.
pub(super) fn judge<E>(source: TopicPartition, fence: &mut Fence, record: &Record, decode: &Decoder<E>) -> Entry<E> {
    let body = if source.topic.fenced() {
        match (fence.judge(record.offset, record.stamp), record.stamp) {
            (Verdict::Void(reason), _) => Body::Void(reason),
            (Verdict::Counts, Stamp::Claim { epoch, claim, .. }) => Body::Claim { epoch, claim },
            (Verdict::Counts, _) if record.schema_id() == Some(BARRIER_SCHEMA) => Body::Barrier,
            (Verdict::Counts, _) => decoded(record, decode),
        }
    } else if record.value.is_none() {
        Body::Tombstone(record.key.clone())
    } else {
        decoded(record, decode)
    };
    let behind = record.offset.next();
    let after = if source.topic.fenced() { fence.position(behind) } else { Position::bare(behind) };
    Entry { source, offset: record.offset, after, body, timestamp_ms: record.timestamp_ms, bytes: record.bytes() }
}

fn decoded<E>(record: &Record, decode: &Decoder<E>) -> Body<E> {
    match decode(record) {
        Ok(event) => Body::Event(Arc::new(event)),
        Err(undecodable) => Body::Undecodable(undecodable),
    }
}
