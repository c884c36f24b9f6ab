//! The content of the log: partitions, offsets, records and the headers that the fence reads.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Topic;

/// The Confluent wire format's schema id of a `Claim` record.
pub const CLAIM_SCHEMA: u32 = 1;
/// The Confluent wire format's schema id of a `Barrier` record.
pub const BARRIER_SCHEMA: u32 = 2;

/// The unit of order in the log: the number of one partition of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition of a topic, as the log's trait addresses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition in it.
    pub partition: Partition,
}

impl TopicPartition {
    /// The partition `partition` of `events`.
    pub const fn events(partition: Partition) -> Self {
        TopicPartition { topic: Topic::Events, partition }
    }

    /// The only partition of `directory`.
    pub const DIRECTORY: Self = TopicPartition { topic: Topic::Directory, partition: Partition(0) };

    /// The only partition of `nodes`.
    pub const NODES: Self = TopicPartition { topic: Topic::Nodes, partition: Partition(0) };
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A place in one partition. The first record has offset 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The beginning of a partition.
    pub const ZERO: Offset = Offset(0);

    /// The next offset.
    #[must_use]
    pub const fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The headers of a record that the fence reads.
///
/// On the wire these are text headers, so that `kcat` shows them: `epoch` (decimal) on every fenced record; on a claim
/// `claim` and `log_id` (UUIDs); on every other record `seq` (decimal). This format never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// A claim: a writer takes the partition over.
    Claim {
        /// The generation that it opens if it counts.
        epoch: u64,
        /// Its id, new for each claim.
        claim: Uuid,
        /// The partition's identity; the first claim that counts chooses it.
        log_id: Uuid,
    },
    /// An event or a barrier.
    Seq {
        /// The generation of its writer.
        epoch: u64,
        /// Its number in that generation, from 0.
        seq: u64,
    },
    /// No valid stamp: a record of a topic that is not fenced; in a fenced topic, a void record. Also the stamp of a record with
    /// neither or both of `claim` and `seq`, or with a number or UUID that does not parse.
    Absent,
}

impl Stamp {
    /// The text headers of this stamp, in the order in which they are written.
    pub fn to_headers(self) -> Vec<(&'static str, String)> {
        match self {
            Stamp::Claim { epoch, claim, log_id } => {
                vec![("epoch", epoch.to_string()), ("claim", claim.to_string()), ("log_id", log_id.to_string())]
            }
            Stamp::Seq { epoch, seq } => vec![("epoch", epoch.to_string()), ("seq", seq.to_string())],
            Stamp::Absent => Vec::new(),
        }
    }

    /// Reads the stamp from a record's headers. Other headers are ignored; a header that occurs twice is malformed.
    pub fn from_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Stamp {
        let (mut epoch, mut seq, mut claim, mut log_id) = (None, None, None, None);
        for (name, value) in headers {
            let slot = match name {
                "epoch" => &mut epoch,
                "seq" => &mut seq,
                "claim" => &mut claim,
                "log_id" => &mut log_id,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Stamp::Absent;
            }
        }
        let stamp = match (epoch, seq, claim, log_id) {
            (Some(epoch), Some(seq), None, _) => {
                decimal(epoch).zip(decimal(seq)).map(|(epoch, seq)| Stamp::Seq { epoch, seq })
            }
            (Some(epoch), None, Some(claim), Some(log_id)) => decimal(epoch)
                .zip(uuid(claim).zip(uuid(log_id)))
                .map(|(epoch, (claim, log_id))| Stamp::Claim { epoch, claim, log_id }),
            _ => None,
        };
        stamp.unwrap_or(Stamp::Absent)
    }
}

/// Parses a decimal u64 as this crate writes it: digits only, with no sign, space or leading zero.
fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

fn uuid(text: &[u8]) -> Option<Uuid> {
    Uuid::try_parse_ascii(text).ok()
}

/// A record to be appended.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The key: a team id, a domain, ...; none on claims and barriers.
    pub key: Option<Bytes>,
    /// The value in the Confluent wire format. None is a tombstone (compacted topics only).
    pub value: Option<Bytes>,
    /// The headers that the fence reads.
    pub stamp: Stamp,
    /// The node that wrote it, for people.
    pub writer: Option<Bytes>,
    /// The W3C trace context of the request that caused it, for people.
    pub traceparent: Option<Bytes>,
}

/// A record as read from the log.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its offset.
    pub offset: Offset,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none for a tombstone.
    pub value: Option<Bytes>,
    /// The headers that the fence reads.
    pub stamp: Stamp,
    /// Milliseconds since 1970 by the producer's clock; in `nodes`, by the broker's.
    pub timestamp_ms: i64,
}

impl Record {
    /// Bytes of key and value, for bounds.
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// The Confluent wire format's schema id, if the value is framed so (magic byte 0, big-endian id).
    pub fn schema_id(&self) -> Option<u32> {
        match self.value.as_deref() {
            Some([0, a, b, c, d, ..]) => Some(u32::from_be_bytes([*a, *b, *c, *d])),
            _ => None,
        }
    }
}
