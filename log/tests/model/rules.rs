//! The rules as switches: with all on the model is the design, with one off it is broken on purpose.
//!
//! The fence is the shipped [`Fence`]; where a broken variant concerns the fence, the shipped one is wrapped.

use teamlog_log::{Fence, Offset, Position, Stamp, Verdict};

use crate::model::record::Entry;

/// The rules that hold. Their numbers are those of docs/protocol.md.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The fence wants the records of an epoch in the order of their `seq`.
    pub(crate) seq: bool,
    /// A claim that does not count changes nothing.
    pub(crate) void_claim_is_harmless: bool,
    /// A position carries that its epoch was closed by a gap.
    pub(crate) closed_flag: bool,
    /// Rule 1: a writer knows its claim by the claim's id (off: by its epoch).
    pub(crate) claim_by_id: bool,
    /// Rule 2: an acknowledgement waits until the record has been read back as counting (off: for Kafka's only).
    pub(crate) read_back: bool,
    /// Rule 3: a refusal waits for a record of its epoch (off: it is sent at once).
    pub(crate) refusal_waits: bool,
    /// Rule 3: that record is one appended after the decision (off: one already in flight is enough).
    pub(crate) behind_a_new_record: bool,
    /// Rule 3: a repeat of a key that is in flight waits too (off: it is answered from what is in flight).
    pub(crate) repeat_waits: bool,
    /// Rule 4: after an unknown outcome the writer claims anew (off: it takes the record for lost and goes on).
    pub(crate) claim_after_unknown: bool,
}

impl Rules {
    /// The design.
    pub(crate) const DESIGN: Rules = Rules {
        seq: true,
        void_claim_is_harmless: true,
        closed_flag: true,
        claim_by_id: true,
        read_back: true,
        refusal_waits: true,
        behind_a_new_record: true,
        repeat_waits: true,
        claim_after_unknown: true,
    };

    /// Judges the next record of the log by these rules.
    pub(crate) fn judge(&self, fence: &mut Fence, offset: Offset, mut stamp: Stamp) -> Verdict {
        if let (false, Stamp::Seq { seq, .. }) = (self.seq, &mut stamp) {
            *seq = fence.position(Offset::ZERO).next_seq.unwrap_or(*seq);
        }
        let verdict = fence.judge(offset, stamp);
        if !self.void_claim_is_harmless && matches!(stamp, Stamp::Claim { .. }) && verdict != Verdict::Counts {
            *fence = Fence::at(&Position { next_seq: None, ..fence.position(Offset::ZERO) });
        }
        verdict
    }

    /// The position that a reader stores after it has judged `log` with `fence`.
    pub(crate) fn position(&self, fence: &Fence, log: &[Entry]) -> Position {
        let position = fence.position(Offset(log.len() as u64));
        if self.closed_flag || position.next_seq.is_some() || position.epoch == 0 {
            return position;
        }
        let counted = log.iter().filter(|entry| {
            entry.counts() && entry.rec.seq().is_some() && u64::from(entry.rec.epoch) == position.epoch
        });
        Position { next_seq: Some(counted.count() as u64), ..position }
    }
}
