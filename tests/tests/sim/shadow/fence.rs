//! The fence, once more, from the words of `docs/protocol.md` (F1 to F6): so that a mistake in the one that everybody
//! uses is not made here too.

use teamlog_log::{Offset, Position, Stamp};
use uuid::Uuid;

/// `(log_id, epoch, claim, next_seq)`.
#[derive(Clone, Copy, Default)]
pub(super) struct Fence {
    log_id: Option<Uuid>,
    epoch: u64,
    /// The id of the newest claim that counts, and its offset.
    claim: Option<(Uuid, Offset)>,
    next_seq: Option<u64>,
}

impl Fence {
    /// Whether the next record, at `offset`, counts.
    pub(super) fn counts(&mut self, offset: Offset, stamp: Stamp) -> bool {
        match stamp {
            Stamp::Claim { epoch, claim, log_id } => {
                let is_next = epoch == self.epoch + 1;
                let is_of_this_log = !log_id.is_nil() && self.log_id.is_none_or(|here| here == log_id);
                if is_next && is_of_this_log {
                    *self = Fence { log_id: Some(log_id), epoch, claim: Some((claim, offset)), next_seq: Some(0) };
                }
                is_next && is_of_this_log
            }
            Stamp::Seq { epoch, seq } => {
                let Some(next) = self.next_seq.filter(|_| epoch == self.epoch) else { return false };
                if seq == next {
                    self.next_seq = Some(next + 1);
                } else if seq > next {
                    self.next_seq = None;
                }
                seq == next
            }
            Stamp::Absent => false,
        }
    }

    /// The position of who has read everything below an offset.
    pub(super) fn at(&self, offset: Offset) -> Position {
        let log_id = self.log_id.unwrap_or_default();
        let (claim_id, claim_offset) = self.claim.unwrap_or_default();
        Position { log_id, offset, epoch: self.epoch, claim_id, claim_offset, next_seq: self.next_seq }
    }
}
