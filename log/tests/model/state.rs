//! The state of the modelled world.

use std::hash::{Hash, Hasher};

use teamlog_log::{Fence, Position};

use crate::model::record::{Entry, REC_BITS, Rec};

/// The log, the appends in flight, the writers and the answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    /// The partition, with the verdicts.
    pub(crate) log: Vec<Entry>,
    /// The fence after the last record; follows from `log`.
    pub(crate) fence: Fence,
    /// Appends that may still land: in any order, late or never. Sorted, for their order does not matter.
    pub(crate) wire: Vec<Rec>,
    /// The nodes.
    pub(crate) writers: Vec<Writer>,
    /// The state of each call of a client.
    pub(crate) attempts: Vec<Attempt>,
    /// Claims sent so far, which is also the number of the next.
    pub(crate) claims: u8,
    /// How many more appends may land twice.
    pub(crate) twice: u8,
    /// Whether the last step changed the log or what clients know. If not, no property can have changed. Not part of the
    /// state's identity (so not hashed): the first state with a new log or new answers has it set.
    pub(crate) fresh: bool,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Writer {
    /// How much of the log it has read, as far as that makes a difference. A leader has also read the void records that
    /// follow; a claiming node forgets what it read after the newest counted claim (reading it again settles nothing
    /// twice); a follower forgets everything (it reads to the end before it claims).
    pub(crate) read: usize,
    pub(crate) role: Role,
    /// Whether it has ever sent a claim.
    pub(crate) started: bool,
    /// The decisions without an answer, in order. All are under the newest epoch that it has read of.
    pub(crate) pending: Vec<Pending>,
}

/// The role that a node believes to have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Role {
    /// Decides nothing.
    #[default]
    Follower,
    /// Has sent this claim and waits to read it.
    Claiming { claim: u8, epoch: u8 },
    /// Decides and appends.
    Leading { claim: u8, epoch: u8, next_seq: u8 },
}

/// A decision of a writer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pending {
    /// An event that was appended.
    Event { attempt: usize, seq: u8 },
    /// An answer that waits until a record with a `seq` of at least `from` has been read back as counting.
    Answer { attempt: usize, repeat: bool, from: u8 },
}

impl Pending {
    pub(crate) fn attempt(self) -> usize {
        match self {
            Pending::Event { attempt, .. } | Pending::Answer { attempt, .. } => attempt,
        }
    }
}

/// A call of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Attempt {
    /// Not called yet.
    Idle,
    /// Called; whether a refusal was true at some counted position since then.
    Open { refusable: bool },
    /// Answered from its own event; `reclaiming`: by a node that was about to claim anew.
    Acked { reclaiming: bool },
    /// Answered as a repeat; `waited`: one of an event that was in flight.
    Repeated { waited: bool },
    /// Refused; whether that had been true at some counted position between call and answer.
    Refused { was_true: bool },
}

impl State {
    /// An empty log, `writers` nodes that have read nothing, `attempts` calls to come, of which `twice` appends double.
    pub(crate) fn new(writers: usize, attempts: usize, twice: u8) -> State {
        State {
            log: Vec::new(),
            fence: Fence::at(&Position::START),
            wire: Vec::new(),
            writers: vec![Writer::default(); writers],
            attempts: vec![Attempt::Idle; attempts],
            claims: 0,
            twice,
            fresh: true,
        }
    }
}

impl State {
    /// Lets leaders read void records as soon as they come, for these change nothing for them.
    pub(crate) fn skip_void(&mut self) {
        for writer in &mut self.writers {
            if matches!(writer.role, Role::Leading { .. }) {
                let void = self.log[writer.read..].iter().take_while(|entry| !entry.counts());
                writer.read += void.count();
            }
        }
    }
}

impl Writer {
    /// Drops its role and its decisions.
    pub(crate) fn follow(&mut self) {
        self.role = Role::Follower;
        self.read = 0;
        self.pending.clear();
    }
}

/// Hashes the state in packed form, without what follows from the rest: hashing is the most frequent operation.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut bits = Bits { hasher, word: 0, used: 0 };
        bits.push(self.log.len() as u64, 4);
        self.log.iter().for_each(|entry| bits.push(entry.rec.pack(), REC_BITS));
        bits.push(self.wire.len() as u64, 4);
        self.wire.iter().for_each(|rec| bits.push(rec.pack(), REC_BITS));
        self.writers.iter().for_each(|writer| writer.pack(&mut bits));
        self.attempts.iter().for_each(|attempt| bits.push(attempt.pack(), 4));
        bits.push(u64::from(self.claims), 4);
        bits.push(u64::from(self.twice), 2);
        bits.flush();
    }
}

impl Writer {
    fn pack<H: Hasher>(&self, bits: &mut Bits<'_, H>) {
        let (kind, claim, epoch, next_seq) = match self.role {
            Role::Follower => (0, 0, 0, 0),
            Role::Claiming { claim, epoch } => (1, claim, epoch, 0),
            Role::Leading { claim, epoch, next_seq } => (2, claim, epoch, next_seq),
        };
        bits.push(self.read as u64, 4);
        bits.push(kind << 1 | u64::from(self.started), 3);
        bits.push(u64::from(claim) << 8 | u64::from(epoch) << 4 | u64::from(next_seq), 12);
        bits.push(self.pending.len() as u64, 4);
        for pending in &self.pending {
            let (kind, seq) = match *pending {
                Pending::Event { seq, .. } => (0, seq),
                Pending::Answer { repeat, from, .. } => (1 + u64::from(repeat), from),
            };
            bits.push(kind << 8 | (pending.attempt() as u64) << 4 | u64::from(seq), 10);
        }
    }
}

impl Attempt {
    fn pack(self) -> u64 {
        match self {
            Attempt::Idle => 0,
            Attempt::Open { refusable } => 2 + u64::from(refusable),
            Attempt::Acked { reclaiming } => 4 + u64::from(reclaiming),
            Attempt::Repeated { waited } => 6 + u64::from(waited),
            Attempt::Refused { was_true } => 8 + u64::from(was_true),
        }
    }
}

struct Bits<'a, H> {
    hasher: &'a mut H,
    word: u64,
    used: u32,
}

impl<H: Hasher> Bits<'_, H> {
    fn push(&mut self, value: u64, width: u32) {
        debug_assert!(value < 1 << width);
        if self.used + width > u64::BITS {
            self.flush();
        }
        self.word = self.word << width | value;
        self.used += width;
    }

    fn flush(&mut self) {
        self.hasher.write_u64(self.word);
        self.word = 0;
        self.used = 0;
    }
}
