//! A place in a partition together with what the fence needs to go on from there.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Offset, Topic};

/// Where a reader stands: everything below `offset` is reflected, and the rest says how to judge what follows.
///
/// This is what views commit, snapshots carry and cursors hold. Two positions of one partition with the same offset
/// are equal, for the fence gives everybody the same answer; one that differs is of another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The partition's identity, chosen by its first claim; nil before it and in topics that are not fenced.
    pub log_id: Uuid,
    /// The first offset that is not reflected.
    pub offset: Offset,
    /// The newest counted claim's epoch; 0 before the first.
    pub epoch: u64,
    /// The `seq` that counts next; none once a gap has closed the epoch, or before the first claim.
    pub next_seq: Option<u64>,
}

impl Position {
    /// The beginning of any partition.
    pub const START: Position = Position { log_id: Uuid::nil(), offset: Offset::ZERO, epoch: 0, next_seq: None };

    /// A place in a topic that is not fenced, where an offset says everything.
    pub const fn bare(offset: Offset) -> Position {
        Position { log_id: Uuid::nil(), offset, epoch: 0, next_seq: None }
    }

    /// Whether a position like this may come from `topic`.
    pub fn fits(&self, topic: Topic) -> bool {
        topic.fenced() || (self.log_id.is_nil() && self.epoch == 0 && self.next_seq.is_none())
    }
}
