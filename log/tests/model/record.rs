//! The records of the modelled log, and the view that its counted records add up to.

use teamlog_log::{Stamp, Verdict};
use uuid::Uuid;

/// A record: small numbers instead of ids, so that states are small.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rec {
    /// The node that appended it, for people; no rule depends on it.
    pub(crate) node: u8,
    /// The number of the claim under which its writer believed to write; for a claim, its own.
    pub(crate) by: u8,
    /// The header.
    pub(crate) epoch: u8,
    /// The kind of record, and the rest of its headers.
    pub(crate) body: Body,
}

/// The kinds of records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Body {
    /// `log`: the number of the claim that is believed to have chosen the partition's `log_id`.
    Claim { log: u8 },
    /// The event of the one command with this idempotency key.
    Event { key: u8, seq: u8 },
    /// A barrier.
    Barrier { seq: u8 },
}

impl Rec {
    /// The headers of the record.
    pub(crate) fn stamp(self) -> Stamp {
        let epoch = u64::from(self.epoch);
        match self.body {
            Body::Claim { log } => Stamp::Claim { epoch, claim: uuid(self.by), log_id: uuid(log) },
            Body::Event { seq, .. } | Body::Barrier { seq } => Stamp::Seq { epoch, seq: u64::from(seq) },
        }
    }

    /// The `seq` header, if it has one.
    pub(crate) fn seq(self) -> Option<u8> {
        match self.body {
            Body::Claim { .. } => None,
            Body::Event { seq, .. } | Body::Barrier { seq } => Some(seq),
        }
    }

    /// The record packed into [`REC_BITS`] bits, never 0.
    pub(crate) fn pack(self) -> u64 {
        let (kind, key, number) = match self.body {
            Body::Claim { log } => (1, 0, log),
            Body::Event { key, seq } => (2, key, seq),
            Body::Barrier { seq } => (3, 0, seq),
        };
        debug_assert!(self.node < 4 && self.by < 8 && self.epoch < 8 && key < 4 && number < 8);
        let fields = [(self.by, 3), (self.epoch, 3), (key, 2), (number, 3), (kind, 2)];
        fields.iter().fold(u64::from(self.node), |word, (value, bits)| word << bits | u64::from(*value))
    }
}

/// The width of [`Rec::pack`].
pub(crate) const REC_BITS: u32 = 15;

impl std::fmt::Debug for Rec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rec { node, by, epoch, body } = *self;
        match body {
            Body::Claim { .. } => write!(f, "claim #{by} of node {node} on epoch {epoch}"),
            Body::Event { key, seq } => write!(f, "{} k{key} of node {node}, {epoch}/{seq}", op(key)),
            Body::Barrier { seq } => write!(f, "barrier of node {node}, {epoch}/{seq}"),
        }
    }
}

/// The id of a claim. Never nil, which would mean "no log".
fn uuid(claim: u8) -> Uuid {
    Uuid::from_u128(u128::from(claim) + 1)
}

fn op(key: u8) -> &'static str {
    if creates(key) { "create" } else { "delete" }
}

/// Whether the command with this key creates the one name there is, or deletes it.
pub(crate) fn creates(key: u8) -> bool {
    key.is_multiple_of(2)
}

/// A record in the log with the fence's verdict.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) rec: Rec,
    pub(crate) verdict: Verdict,
}

impl Entry {
    pub(crate) fn counts(&self) -> bool {
        self.verdict == Verdict::Counts
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {:?}", self.rec, self.verdict)
    }
}

/// The fold of counted records: whether the name is taken, and the memory of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    exists: bool,
    keys: u8,
    /// The newest counted claim's epoch.
    pub(crate) epoch: u8,
    /// The number of the claim that chose the `log_id`.
    pub(crate) log: Option<u8>,
}

impl View {
    /// The view at the end of `log`.
    pub(crate) fn of(log: &[Entry]) -> View {
        let mut view = View::default();
        for entry in log.iter().filter(|entry| entry.counts()) {
            match entry.rec.body {
                Body::Claim { log } => {
                    view.epoch = entry.rec.epoch;
                    view.log = view.log.or(Some(log));
                }
                Body::Event { key, .. } => view.apply(key),
                Body::Barrier { .. } => {}
            }
        }
        view
    }

    /// Adds the event of the command with this key.
    pub(crate) fn apply(&mut self, key: u8) {
        self.exists = creates(key);
        self.keys |= 1 << key;
    }

    /// Whether the memory of keys has this one.
    pub(crate) fn knows(&self, key: u8) -> bool {
        self.keys & 1 << key != 0
    }

    /// Whether `decide` refuses the command with this key here: a taken name is not created, a free one not deleted.
    pub(crate) fn refuses(&self, key: u8) -> bool {
        !self.knows(key) && self.exists == creates(key)
    }
}
