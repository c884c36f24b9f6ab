//! A record, judged and decoded.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use uuid::Uuid;

use crate::{BARRIER_SCHEMA, Fence, Offset, Position, Record, Stamp, TopicPartition, Verdict, VoidReason};

/// A record as the whole process sees it: judged and decoded once.
#[derive(Debug)]
pub struct Entry<E> {
    /// Its partition.
    pub source: TopicPartition,
    /// Its offset.
    pub offset: Offset,
    /// The position after it. The `offset` of that is this entry's plus one.
    pub after: Position,
    /// Its content.
    pub body: Body<E>,
    /// Milliseconds since 1970, from the record.
    pub timestamp_ms: i64,
    /// Bytes of key and value in the log.
    pub bytes: usize,
}

/// The content of an entry.
#[derive(Debug)]
pub enum Body<E> {
    /// An event that counts.
    Event(Arc<E>),
    /// A tombstone: its key is gone (in topics that are not fenced).
    Tombstone(Option<Bytes>),
    /// A claim that counts.
    Claim {
        /// The epoch that it opens.
        epoch: u64,
        /// Its id, new for each claim.
        claim: Uuid,
    },
    /// A barrier that counts.
    Barrier,
    /// A record that does not count.
    Void(VoidReason),
    /// A record that counts and that this program cannot decode: a newer program's, or a broken one. A reader whose state
    /// would miss it must stop.
    Undecodable(Undecodable),
}

/// The reason why an event that counts cannot be decoded.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{why}")]
pub struct Undecodable {
    /// The schema id in its value, if there is one.
    pub schema_id: Option<u32>,
    /// The decoder's error text.
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
    /// The event of an entry that is one.
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

/// Judges the next record of `source`, and decodes it if it counts.
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
    let next = record.offset.next();
    let after = if source.topic.fenced() { fence.position(next) } else { Position::bare(next) };
    Entry { source, offset: record.offset, after, body, timestamp_ms: record.timestamp_ms, bytes: record.bytes() }
}

fn decoded<E>(record: &Record, decode: &Decoder<E>) -> Body<E> {
    match decode(record) {
        Ok(event) => Body::Event(Arc::new(event)),
        Err(undecodable) => Body::Undecodable(undecodable),
    }
}
