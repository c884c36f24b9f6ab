//! The steps of the modelled world: what writers, clients and the network may do next.

use stateright::{Model, Property};
use teamlog_log::{Offset, Verdict};

use crate::model::properties;
use crate::model::record::{Body, Entry, Rec, View};
use crate::model::rules::Rules;
use crate::model::state::{Attempt, Pending, Role, State, Writer};

/// The model: the rules, within bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) rules: Rules,
    /// Nodes.
    pub(crate) writers: usize,
    /// The clients' calls, each by its idempotency key: even ones create the name, odd ones delete it.
    pub(crate) calls: &'static [u8],
    /// Records that may land.
    pub(crate) log_max: usize,
    /// Appends that may be in flight at the same time.
    pub(crate) wire_max: usize,
    /// Claims that may be sent.
    pub(crate) claims_max: u8,
    /// Appends that may land twice.
    pub(crate) twice_max: u8,
}

/// A step.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// A node appends a claim. A follower has just read to the end (rule 1); a leader (rule 4) need not have.
    Claim { node: usize },
    /// A leader reads the next record that counts; one that claims reads up to its claim or to the end.
    Read { node: usize },
    /// A command reaches a node, from its client, once more, or forwarded.
    Take { node: usize, call: usize },
    /// A leader appends a barrier for the answers that wait.
    Barrier { node: usize },
    /// A process ends; the next one on that node begins as a follower.
    Crash { node: usize },
    /// An append lands; with `again` it may land once more.
    Land { rec: Rec, again: bool },
    /// Broken: Kafka's acknowledgement is taken for the fence's verdict.
    AckUnread { node: usize, seq: u8 },
    /// Broken: an append whose outcome is unknown is taken for lost.
    GiveUp { node: usize, seq: u8 },
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Claim { node } => write!(f, "node {node} claims"),
            Step::Read { node } => write!(f, "node {node} reads on"),
            Step::Take { node, call } => write!(f, "call {call} reaches node {node}"),
            Step::Barrier { node } => write!(f, "node {node} appends a barrier"),
            Step::Crash { node } => write!(f, "node {node} crashes"),
            Step::Land { rec, again: false } => write!(f, "lands: {rec:?}"),
            Step::Land { rec, again: true } => write!(f, "lands, one copy of two: {rec:?}"),
            Step::AckUnread { node, seq } => write!(f, "node {node} acknowledges seq {seq} unread"),
            Step::GiveUp { node, seq } => write!(f, "node {node} takes seq {seq} for lost"),
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.writers, self.calls.len(), self.twice_max)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let room = state.log.len() < self.log_max && state.wire.len() < self.wire_max;
        for rec in &state.wire {
            steps.push(Step::Land { rec: *rec, again: false });
            if state.twice > 0 {
                steps.push(Step::Land { rec: *rec, again: true });
            }
        }
        for (node, writer) in state.writers.iter().enumerate() {
            // Nodes are interchangeable, so they send their first claims in the order of their numbers.
            let in_turn = node == 0 || state.writers[node - 1].started;
            if room && in_turn && state.claims < self.claims_max {
                steps.push(Step::Claim { node });
            }
            if writer.role != Role::Follower && writer.read < state.log.len() {
                steps.push(Step::Read { node });
            }
            steps.extend((0..self.calls.len()).map(|call| Step::Take { node, call }));
            if writer.role != Role::Follower {
                steps.push(Step::Crash { node });
            }
            if let Role::Leading { next_seq, .. } = writer.role {
                let waits = |pending: &Pending| matches!(pending, Pending::Answer { from, .. } if *from == next_seq);
                if room && writer.pending.iter().any(waits) {
                    steps.push(Step::Barrier { node });
                }
                for pending in &writer.pending {
                    match *pending {
                        Pending::Event { seq, .. } if !self.rules.read_back => {
                            steps.push(Step::AckUnread { node, seq });
                        }
                        Pending::Event { seq, .. } if !self.rules.claim_after_unknown => {
                            steps.push(Step::GiveUp { node, seq });
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        if let Step::Take { node, call } = step
            && !self.may_take(last, node, call)
        {
            return None;
        }
        let mut state = last.clone();
        state.fresh = false;
        match step {
            Step::Claim { node } => claim(&mut state, node),
            Step::Read { node } => self.read(&mut state, node)?,
            Step::Take { node, call } => self.take(&mut state, node, call)?,
            Step::Barrier { node } => {
                append(&mut state, node, |seq| Body::Barrier { seq });
            }
            Step::Crash { node } => {
                state.writers[node].follow();
            }
            Step::Land { rec, again } => self.land(&mut state, rec, again),
            Step::AckUnread { node, seq } => ack_unread(&mut state, node, seq)?,
            Step::GiveUp { node, seq } => {
                let pending = &mut state.writers[node].pending;
                pending.retain(|pending| !matches!(pending, Pending::Event { seq: own, .. } if *own == seq));
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl Protocol {
    /// Lands an append, and records the verdict on it, which is equal for all readers.
    fn land(&self, state: &mut State, rec: Rec, again: bool) {
        if again {
            state.twice -= 1;
        } else {
            state.wire.retain(|other| *other != rec);
        }
        let verdict = self.rules.judge(&mut state.fence, Offset(state.log.len() as u64), rec.stamp());
        state.log.push(Entry { rec, verdict });
        state.fresh = true;
        if state.log.len() == self.log_max {
            state.wire.clear();
        }
        if verdict != Verdict::Counts {
            state.skip_void();
            return;
        }
        let now = View::of(&state.log);
        for (attempt, key) in state.attempts.iter_mut().zip(self.calls) {
            if let Attempt::Open { refusable } = attempt {
                *refusable |= now.refuses(*key);
            }
        }
    }

    fn read(&self, state: &mut State, node: usize) -> Option<()> {
        if matches!(state.writers[node].role, Role::Leading { .. }) {
            self.read_one(state, node);
            state.skip_void();
            return Some(());
        }
        let before = state.writers[node].clone();
        while matches!(state.writers[node].role, Role::Claiming { .. }) && state.writers[node].read < state.log.len() {
            self.read_one(state, node);
        }
        let writer = &mut state.writers[node];
        if matches!(writer.role, Role::Claiming { .. }) {
            writer.read = before.read;
        }
        if *writer == before {
            return None;
        }
        state.skip_void();
        Some(())
    }

    fn read_one(&self, state: &mut State, node: usize) {
        let writer = &mut state.writers[node];
        let entry = state.log[writer.read];
        writer.read += 1;
        if !entry.counts() {
            return;
        }
        let Some(seq) = entry.rec.seq() else {
            match writer.role {
                // Records in flight under the previous epoch are void for ever now: any node may decide their commands again.
                Role::Claiming { claim, epoch } if self.is_own(entry.rec, claim, epoch) => {
                    writer.role = Role::Leading { claim, epoch, next_seq: 0 };
                    writer.pending.clear();
                }
                _ => writer.follow(),
            }
            return;
        };
        let reclaiming = matches!(writer.role, Role::Claiming { .. });
        let settled = |pending: &mut Pending| match *pending {
            Pending::Event { seq: own, .. } => own == seq,
            Pending::Answer { from, .. } => from <= seq,
        };
        let settled: Vec<Pending> = writer.pending.extract_if(.., settled).collect();
        for pending in settled {
            match pending {
                Pending::Event { attempt, .. } => answer(state, attempt, Attempt::Acked { reclaiming }),
                Pending::Answer { attempt, repeat: true, .. } => {
                    answer(state, attempt, Attempt::Repeated { waited: true });
                }
                Pending::Answer { attempt, repeat: false, .. } => refuse(state, attempt),
            }
        }
    }

    fn is_own(&self, counted: Rec, claim: u8, epoch: u8) -> bool {
        if self.rules.claim_by_id { counted.by == claim } else { counted.epoch == epoch }
    }

    /// Whether the command may reach the node now. That it may reach any node, and again, covers forwarding, retries and
    /// handing on after a lost claim.
    fn may_take(&self, state: &State, node: usize, call: usize) -> bool {
        let waiting = match state.attempts[call] {
            // Calls with one key are interchangeable until they begin.
            Attempt::Idle => {
                call == 0 || self.calls[call - 1] != self.calls[call] || started(&state.attempts[call - 1])
            }
            Attempt::Open { .. } => true,
            Attempt::Acked { .. } | Attempt::Repeated { .. } | Attempt::Refused { .. } => false,
        };
        waiting && !state.writers[node].pending.iter().any(|pending| pending.attempt() == call)
    }

    fn take(&self, state: &mut State, node: usize, call: usize) -> Option<()> {
        let key = self.calls[call];
        let writer = &state.writers[node];
        let (leading, read) = match writer.role {
            Role::Leading { next_seq, .. } => (Some(next_seq), writer.read),
            // The node may have read up to the end, and its answer is true for ever.
            Role::Follower | Role::Claiming { .. } => (None, state.log.len()),
        };
        let mut view = View::of(&state.log[..read]);
        let counted = view.knows(key);
        if !counted && leading.is_none() {
            return None;
        }
        if state.attempts[call] == Attempt::Idle {
            state.attempts[call] = Attempt::Open { refusable: View::of(&state.log).refuses(key) };
            state.fresh = true;
        }
        if counted {
            answer(state, call, Attempt::Repeated { waited: false });
            return Some(());
        }
        let from = self.answer_from(state, node, leading?);
        let writer = &mut state.writers[node];
        for pending in &writer.pending {
            if let Pending::Event { attempt, .. } = *pending {
                view.apply(self.calls[attempt]);
            }
        }
        if view.knows(key) {
            if self.rules.repeat_waits {
                writer.pending.push(Pending::Answer { attempt: call, repeat: true, from });
            } else {
                answer(state, call, Attempt::Repeated { waited: true });
            }
        } else if view.refuses(key) {
            if self.rules.refusal_waits {
                writer.pending.push(Pending::Answer { attempt: call, repeat: false, from });
            } else {
                refuse(state, call);
            }
        } else {
            if state.log.len() == self.log_max || state.wire.len() == self.wire_max {
                return None;
            }
            let seq = append(state, node, |seq| Body::Event { key, seq });
            state.writers[node].pending.push(Pending::Event { attempt: call, seq });
        }
        Some(())
    }

    /// The lowest `seq` whose counting allows an answer that is decided now.
    fn answer_from(&self, state: &State, node: usize, next_seq: u8) -> u8 {
        if self.rules.behind_a_new_record {
            return next_seq;
        }
        let Writer { read, role, .. } = state.writers[node];
        let own = |entry: &&Entry| match role {
            Role::Leading { epoch, .. } => entry.counts() && entry.rec.epoch == epoch && entry.rec.seq().is_some(),
            Role::Follower | Role::Claiming { .. } => false,
        };
        let in_flight = state.log[..read].iter().filter(own).count() < usize::from(next_seq);
        if in_flight { next_seq - 1 } else { next_seq }
    }
}

fn started(attempt: &Attempt) -> bool {
    *attempt != Attempt::Idle
}

fn send(state: &mut State, rec: Rec) {
    let at = state.wire.partition_point(|other| *other < rec);
    state.wire.insert(at, rec);
}

/// Claims the newest epoch that was read plus one, under a fresh id.
fn claim(state: &mut State, node: usize) {
    let number = state.claims;
    state.claims += 1;
    let writer = &mut state.writers[node];
    if writer.role == Role::Follower {
        writer.read = state.log.len();
    }
    let view = View::of(&state.log[..writer.read]);
    let claims = |entry: &Entry| entry.counts() && entry.rec.seq().is_none();
    writer.read = state.log[..writer.read].iter().rposition(claims).map_or(0, |at| at + 1);
    let epoch = view.epoch + 1;
    writer.started = true;
    writer.role = Role::Claiming { claim: number, epoch };
    let body = Body::Claim { log: view.log.unwrap_or(number) };
    send(state, Rec { node: node as u8, by: number, epoch, body });
}

/// Appends a leader's next record and gives its `seq`.
fn append(state: &mut State, node: usize, body: impl Fn(u8) -> Body) -> u8 {
    let Role::Leading { claim, epoch, next_seq } = &mut state.writers[node].role else {
        unreachable!("only leaders append");
    };
    let seq = *next_seq;
    let rec = Rec { node: node as u8, by: *claim, epoch: *epoch, body: body(seq) };
    *next_seq += 1;
    send(state, rec);
    seq
}

/// Gives the client its answer, if it is the first.
fn answer(state: &mut State, attempt: usize, answer: Attempt) {
    if matches!(state.attempts[attempt], Attempt::Open { .. }) {
        state.attempts[attempt] = answer;
        state.fresh = true;
    }
}

fn refuse(state: &mut State, attempt: usize) {
    if let Attempt::Open { refusable } = state.attempts[attempt] {
        answer(state, attempt, Attempt::Refused { was_true: refusable });
    }
}

fn ack_unread(state: &mut State, node: usize, seq: u8) -> Option<()> {
    let Role::Leading { claim, .. } = state.writers[node].role else {
        return None;
    };
    if !state.log.iter().any(|entry| entry.rec.by == claim && entry.rec.seq() == Some(seq)) {
        return None;
    }
    let own = |pending: &mut Pending| matches!(pending, Pending::Event { seq: own, .. } if *own == seq);
    let pending: Vec<Pending> = state.writers[node].pending.extract_if(.., own).collect();
    pending.iter().for_each(|pending| answer(state, pending.attempt(), Attempt::Acked { reclaiming: false }));
    Some(())
}
