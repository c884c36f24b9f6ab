//! A place in a partition together with what the fence needs to go on from there.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Offset, Topic};

/// The position of a reader: every record below `offset` is reflected, and the other fields are the fence's state there.
///
/// Views commit positions, snapshots carry them and cursors hold them. Two positions of one history with equal offsets
/// are equal in every field, for the fence gives every reader one answer. A position that differs at an equal offset is
/// of another history: of another log, or of a log that was cut short and written on. A process that takes up a stored
/// position checks it against the log first: see [`Feed::check`](crate::Feed::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The partition's identity, chosen by its first claim; nil before it and in topics that are not fenced.
    pub log_id: Uuid,
    /// The first offset that is not reflected.
    pub offset: Offset,
    /// The newest counted claim's epoch; 0 before the first.
    pub epoch: u64,
    /// The newest counted claim's id, which names the history: no two claims have one id. Nil before the first.
    pub claim_id: Uuid,
    /// The offset of the newest counted claim, so that it is checked by one read of one record. Below `offset`; 0 before
    /// the first.
    pub claim_offset: Offset,
    /// The `seq` that counts next; none once a gap has closed the epoch, or before the first claim.
    pub next_seq: Option<u64>,
}

impl Position {
    /// The version of the fields above. Every stored format of a position includes it, so that a position of an older program
    /// is refused and not misread.
    pub const FORMAT: u32 = 2;

    /// The beginning of any partition.
    pub const START: Position = Position::bare(Offset::ZERO);

    /// The position in a topic that is not fenced, where an offset is enough.
    pub const fn bare(offset: Offset) -> Position {
        Position {
            log_id: Uuid::nil(),
            offset,
            epoch: 0,
            claim_id: Uuid::nil(),
            claim_offset: Offset::ZERO,
            next_seq: None,
        }
    }

    /// Whether a position with these fields can be of `topic`.
    pub fn fits(&self, topic: Topic) -> bool {
        topic.fenced() || *self == Position::bare(self.offset)
    }
}
