//! The properties that must hold in every state, and those that must be reachable, so that the others are not vacuous.

use stateright::Property;
use teamlog_log::{Fence, Offset, Verdict, VoidReason};

use crate::model::protocol::Protocol;
use crate::model::record::{Body, Entry, View};
use crate::model::state::{Attempt, State};

pub(crate) const ACKED_COUNTS: &str = "what was acknowledged counts exactly once";
pub(crate) const KEY_ONCE: &str = "a key counts at most once";
pub(crate) const PREMISE_HELD: &str = "the premise of what counts held at its place";
pub(crate) const REFUSAL_TRUE: &str = "a refusal was true between its call and its answer";
pub(crate) const REPEAT_COUNTS: &str = "a repeat is answered from what counts";
pub(crate) const RESUMED_SAME: &str = "a resumed reader judges as one from the start";
pub(crate) const ONE_WRITER: &str = "an epoch has one writer";
pub(crate) const LOSER_HARMLESS: &str = "a record is void only if superseded, repeated or after a hole";
pub(crate) const NO_STRAYS: &str = "no correct writer's record looks like a stray";

const DUPLICATE: &str = "a duplicate";
const REPEAT_WAITED: &str = "a repeat that waited";

/// Every property of the model. Each examines a state only if the last step changed the log or an answer
/// ([`State::fresh`]).
pub(crate) fn all(model: &Protocol) -> Vec<Property<Protocol>> {
    let repeats = model.calls.windows(2).any(|calls| calls[0] == calls[1]);
    let within_reach = |property: &Property<Protocol>| match property.name {
        DUPLICATE => model.twice_max > 0,
        REPEAT_WAITED => repeats,
        _ => true,
    };
    let mut all = must_hold();
    all.extend(must_be_reached().into_iter().filter(within_reach));
    all
}

fn must_hold() -> Vec<Property<Protocol>> {
    vec![
        always(ACKED_COUNTS, |model, state| !state.fresh || all_count_once(model, state, is_acked)),
        always(KEY_ONCE, |model, state| !state.fresh || model.calls.iter().all(|key| times_counted(state, *key) <= 1)),
        always(PREMISE_HELD, |_, state| !state.fresh || premises_held(state)),
        always(REFUSAL_TRUE, |_, state| !state.fresh || !answered(state, Attempt::Refused { was_true: false })),
        always(REPEAT_COUNTS, |model, state| !state.fresh || all_count_once(model, state, is_repeated)),
        always(RESUMED_SAME, |model, state| !state.fresh || resumed_same(model, state)),
        always(ONE_WRITER, |_, state| !state.fresh || one_writer(state)),
        always(LOSER_HARMLESS, |_, state| !state.fresh || void_for_a_reason(&state.log)),
        always(NO_STRAYS, |_, state| {
            use VoidReason::{FromTheFuture, Malformed, WrongLog};
            !state.fresh || ![FromTheFuture, Malformed, WrongLog].iter().any(|reason| void(state, *reason))
        }),
    ]
}

fn must_be_reached() -> Vec<Property<Protocol>> {
    vec![
        sometimes("an acknowledgement after a takeover", |model, state| {
            state.fresh && keys(model, state, is_acked).any(|key| counts_after_takeover(state, key))
        }),
        sometimes("an acknowledgement while claiming anew", |_, state| {
            state.fresh && answered(state, Attempt::Acked { reclaiming: true })
        }),
        sometimes("a void event, decided again and acknowledged", |model, state| {
            let superseded = |entry: &Entry| entry.verdict == Verdict::Void(VoidReason::Superseded);
            state.fresh && keys(model, state, is_acked).any(|key| events(state, key).any(superseded))
        }),
        sometimes("a refusal", |_, state| state.fresh && answered(state, Attempt::Refused { was_true: true })),
        sometimes("a repeat of what had counted", |_, state| {
            state.fresh && answered(state, Attempt::Repeated { waited: false })
        }),
        sometimes(REPEAT_WAITED, |_, state| state.fresh && answered(state, Attempt::Repeated { waited: true })),
        sometimes("a barrier counts", |_, state| {
            let barrier = |entry: &Entry| entry.counts() && matches!(entry.rec.body, Body::Barrier { .. });
            state.fresh && state.log.iter().any(barrier)
        }),
        sometimes(DUPLICATE, |_, state| state.fresh && void(state, VoidReason::Duplicate)),
        sometimes("a gap", |_, state| state.fresh && void(state, VoidReason::Gap)),
        sometimes("what was missing comes after the gap", |_, state| state.fresh && void(state, VoidReason::Closed)),
        sometimes("a claim that came second", |_, state| {
            state.fresh && state.log.iter().any(|entry| entry.rec.seq().is_none() && !entry.counts())
        }),
        sometimes("a refused call of which another copy counts", |model, state| {
            let only_call = |key: &u8| model.calls.iter().filter(|other| *other == key).count() == 1;
            state.fresh && keys(model, state, is_refused).filter(only_call).any(|key| times_counted(state, key) == 1)
        }),
    ]
}

type Condition = fn(&Protocol, &State) -> bool;

fn always(name: &'static str, condition: Condition) -> Property<Protocol> {
    Property::always(name, condition)
}

fn sometimes(name: &'static str, condition: Condition) -> Property<Protocol> {
    Property::sometimes(name, condition)
}

fn is_acked(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Acked { .. })
}

fn is_repeated(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Repeated { .. })
}

fn is_refused(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Refused { .. })
}

fn answered(state: &State, so: Attempt) -> bool {
    state.attempts.contains(&so)
}

/// The keys of the calls with an answer that fits.
fn keys(model: &Protocol, state: &State, such: impl Fn(&Attempt) -> bool) -> impl Iterator<Item = u8> {
    state.attempts.iter().zip(model.calls).filter(move |(attempt, _)| such(attempt)).map(|(_, key)| *key)
}

fn events(state: &State, key: u8) -> impl Iterator<Item = &Entry> {
    state.log.iter().filter(move |entry| matches!(entry.rec.body, Body::Event { key: own, .. } if own == key))
}

fn times_counted(state: &State, key: u8) -> usize {
    events(state, key).filter(|entry| entry.counts()).count()
}

fn all_count_once(model: &Protocol, state: &State, such: impl Fn(&Attempt) -> bool) -> bool {
    keys(model, state, such).all(|key| times_counted(state, key) == 1)
}

fn void(state: &State, reason: VoidReason) -> bool {
    state.log.iter().any(|entry| entry.verdict == Verdict::Void(reason))
}

fn premises_held(state: &State) -> bool {
    let mut view = View::default();
    state.log.iter().filter(|entry| entry.counts()).all(|entry| {
        let Body::Event { key, .. } = entry.rec.body else {
            return true;
        };
        let held = !view.refuses(key);
        view.apply(key);
        held
    })
}

/// Whether a reader that resumes at any position judges the records after it as one from the start does.
fn resumed_same(model: &Protocol, state: &State) -> bool {
    let mut from_the_start = Fence::at(&teamlog_log::Position::START);
    (0..=state.log.len()).all(|at| {
        let (before, after) = state.log.split_at(at);
        let mut resumed = Fence::at(&model.rules.position(&from_the_start, before));
        if let Some(entry) = after.first() {
            model.rules.judge(&mut from_the_start, Offset(at as u64), entry.rec.stamp());
        }
        (at..).zip(after).all(|(offset, entry)| {
            model.rules.judge(&mut resumed, Offset(offset as u64), entry.rec.stamp()) == entry.verdict
        })
    })
}

/// Whether every counted record was written under the claim that opened its epoch.
fn one_writer(state: &State) -> bool {
    let mut holder = None;
    state.log.iter().filter(|entry| entry.counts()).all(|entry| {
        if entry.rec.seq().is_none() {
            holder = Some(entry.rec.by);
        }
        holder == Some(entry.rec.by)
    })
}

/// Whether the verdict on the last record of `log`, unless that is a claim, is the one that the fence's rules describe. Each
/// earlier record was the last one of an earlier state.
fn void_for_a_reason(log: &[Entry]) -> bool {
    let [before @ .., last] = log else {
        return true;
    };
    if last.rec.seq().is_none() {
        return true;
    }
    let claims = |entry: &Entry| entry.counts() && entry.rec.seq().is_none();
    let newest = before.iter().rposition(claims);
    let Some(newest) = newest.filter(|at| before[*at].rec.epoch == last.rec.epoch) else {
        return !last.counts();
    };
    let epoch = log[newest..].iter().filter(|entry| entry.rec.epoch == last.rec.epoch);
    let mut next_seq = 0;
    let mut hole = false;
    let mut repeated = false;
    for seq in epoch.filter_map(|entry| entry.rec.seq()) {
        repeated = seq < next_seq;
        hole |= seq > next_seq;
        if seq == next_seq && !hole {
            next_seq += 1;
        }
    }
    last.counts() != (repeated || hole)
}

/// Whether the event with this key counts in an epoch that one node took from another.
fn counts_after_takeover(state: &State, key: u8) -> bool {
    let mut holders = Vec::new();
    for entry in state.log.iter().filter(|entry| entry.counts()) {
        match entry.rec.body {
            Body::Claim { .. } => holders.push(entry.rec.node),
            Body::Event { key: own, .. } if own == key => return holders.iter().any(|node| *node != entry.rec.node),
            Body::Event { .. } | Body::Barrier { .. } => {}
        }
    }
    false
}
