//! The fence: the pure function that decides which records count.
//!
//! The fence reads headers only, never a value or a schema id, and gives one result to every reader for ever, wherever
//! the reader started. The rules (docs/protocol.md):
//!
//! - A claim counts if its epoch is exactly the newest counted claim's plus one and its `log_id` is the partition's
//!   (the first, of epoch 1, chooses it). It opens its epoch with `next_seq = 0`. A claim that does not count changes
//!   nothing: it does not close an epoch, and a stray record cannot block a partition.
//! - Any other record counts if its epoch is the newest counted claim's and its `seq` is `next_seq`. A lower `seq` is
//!   a duplicate. A higher one is a gap, which closes the epoch: no later record of it counts, even if the missing one
//!   follows.
//! - A record above the newest counted epoch, or a claim above that epoch plus one, cannot be a correct writer's: its
//!   writer would have read a claim that is not in the log. Either the record is a stray, or this reader's position is of a
//!   log that was cut short and written on. After [`VoidReason::FromTheFuture`] the reader checks its position.

use uuid::Uuid;

use crate::{Offset, Position, Stamp};

/// Whether a record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The record counts.
    Counts,
    /// The record does not count, now or later.
    Void(VoidReason),
}

/// Why a record is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoidReason {
    /// Neither or both of `claim` and `seq`, or a malformed header.
    Malformed,
    /// Its epoch was ended by a newer claim; or it is a claim that came second.
    Superseded,
    /// Its `seq` has counted already.
    Duplicate,
    /// Its `seq` leaves one out; it closes the epoch.
    Gap,
    /// Its epoch had been closed by a gap.
    Closed,
    /// The record is a claim with another log's id.
    WrongLog,
    /// Its epoch is above any that its writer can have read: a stray, or the log was rewritten under this reader.
    FromTheFuture,
}

impl VoidReason {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            VoidReason::Malformed => "malformed",
            VoidReason::Superseded => "superseded",
            VoidReason::Duplicate => "duplicate",
            VoidReason::Gap => "gap",
            VoidReason::Closed => "closed",
            VoidReason::WrongLog => "wrong_log",
            VoidReason::FromTheFuture => "from_the_future",
        }
    }
}

/// The fence of one partition. Folds the stamps of all records, in offset order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    log_id: Uuid,
    epoch: u64,
    claim_id: Uuid,
    claim_offset: Offset,
    next_seq: Option<u64>,
}

impl Fence {
    /// The fence as of a position.
    pub const fn at(position: &Position) -> Fence {
        let Position { log_id, offset: _, epoch, claim_id, claim_offset, next_seq } = *position;
        Fence { log_id, epoch, claim_id, claim_offset, next_seq }
    }

    /// The position of a reader with this fence that has read every record below `offset`.
    pub const fn position(&self, offset: Offset) -> Position {
        let Fence { log_id, epoch, claim_id, claim_offset, next_seq } = *self;
        Position { log_id, offset, epoch, claim_id, claim_offset, next_seq }
    }

    /// The newest counted claim's epoch; 0 before the first.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The partition's identity; nil before the first claim.
    pub const fn log_id(&self) -> Uuid {
        self.log_id
    }

    /// Judges the next record, which is at `offset`.
    ///
    /// The verdict does not depend on the offset, which is kept of a claim that counts ([`Position::claim_offset`]).
    pub fn judge(&mut self, offset: Offset, stamp: Stamp) -> Verdict {
        match stamp {
            Stamp::Absent => Verdict::Void(VoidReason::Malformed),
            Stamp::Claim { epoch, claim, log_id } => {
                let opened = Fence { log_id, epoch, claim_id: claim, claim_offset: offset, next_seq: Some(0) };
                self.judge_claim(opened)
            }
            Stamp::Seq { epoch, seq } => self.judge_seq(epoch, seq),
        }
    }

    /// `opened` is the fence after the claim, if it counts.
    fn judge_claim(&mut self, opened: Fence) -> Verdict {
        if opened.epoch <= self.epoch {
            return Verdict::Void(VoidReason::Superseded);
        }
        if opened.epoch > self.epoch + 1 {
            return Verdict::Void(VoidReason::FromTheFuture);
        }
        let first = self.epoch == 0;
        // With a nil id a claimed partition would look unclaimed in a position.
        if opened.log_id.is_nil() || (!first && opened.log_id != self.log_id) {
            return Verdict::Void(VoidReason::WrongLog);
        }
        *self = opened;
        Verdict::Counts
    }

    fn judge_seq(&mut self, epoch: u64, seq: u64) -> Verdict {
        if epoch > self.epoch {
            return Verdict::Void(VoidReason::FromTheFuture);
        }
        if epoch < self.epoch || epoch == 0 {
            return Verdict::Void(VoidReason::Superseded);
        }
        #[cfg(feature = "testing")]
        if crate::testing::is_left_out(crate::testing::Rule::Seq) {
            self.next_seq = Some(seq.saturating_add(1));
            return Verdict::Counts;
        }
        match self.next_seq {
            None => Verdict::Void(VoidReason::Closed),
            Some(next) if seq < next => Verdict::Void(VoidReason::Duplicate),
            Some(next) if seq > next => {
                self.next_seq = None;
                Verdict::Void(VoidReason::Gap)
            }
            Some(next) => {
                self.next_seq = Some(next + 1);
                Verdict::Counts
            }
        }
    }
}
