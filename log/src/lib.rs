//! The log: append, read, tail and claim over (topic, partition), with one fence that every reader applies.
//!
//! This crate sees bytes, headers and its own two records (claim and barrier). Events are decoded by the decoder that a
//! [`Feed`] is given.
//!
//! The words for places in one partition, drawn once:
//!
//! ```text
//!   offset   0    1    2    3    4    5    6    7    8
//!          +----+----+----+----+----+----+----+----+
//!          | C1 | e0 | e1 | C2 | e0 | z2 | e1 | e3 |            C: claim, e: seq in its epoch, z: a zombie's
//!          +----+----+----+----+----+----+----+----+
//!   verdict  ok   ok   ok   ok   ok  void  ok  void(gap)
//!                               ^                        ^
//!                               |                        end: the first offset not yet written
//!                               position (offset 4, claim C2, next_seq 0): every record below is reflected,
//!                               the tail is [4, end)
//! ```
//!
//! Read in this order: [`record`](crate::Record) (the content of the log), [`fence`](crate::Fence) (which records count),
//! [`Log`] (the trait), the engines, then [`Feed`] (the one reader of a partition in a process).

mod embedded;
mod engine;
mod feed;
mod fence;
mod kafka;
mod limits;
mod own;
mod position;
mod record;
#[cfg(feature = "testing")]
pub mod testing;
mod topic;

pub use embedded::{EmbeddedConfig, EmbeddedLog};
pub use engine::{Appended, Batch, Log, LogError, Reader};
pub use feed::{Body, Decoder, Entry, Feed, FeedConfig, FeedError, Subscriber, Undecodable, decoder};
pub use fence::{Fence, Verdict, VoidReason};
pub use kafka::{Compression, KafkaConfig, KafkaLog};
pub use limits::RECORD_BYTES_MAX;
pub use own::{barrier_value, claim_value};
pub use position::Position;
pub use record::{BARRIER_SCHEMA, CLAIM_SCHEMA, NewRecord, Offset, Partition, Record, Stamp, TopicPartition};
pub use topic::{Kept, Topic};
