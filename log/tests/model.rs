//! The fence and the writer's rules (docs/protocol.md), model-checked with `stateright`: every state within small bounds is
//! examined.
//!
//! The modelled log is judged by the shipped [`Fence`](teamlog_log::Fence), through real
//! [`Stamp`](teamlog_log::Stamp)s and [`Position`](teamlog_log::Position)s. The writers are a model of what a writer has
//! to do.
//!
//! # What is modelled
//! - One partition. Appends are in flight until they land: in any order, late, never, or twice. A lost record
//!   is one that never lands; a writer whose append failed or is unknown claims anew at any time.
//! - Two or three nodes. Each may claim at any time, even several at once, lead without knowing that it was replaced,
//!   pause (by not being the next to take a step), crash, and claim again. Which node should lead is not modelled.
//! - Calls of clients. One name is created (even idempotency keys) and deleted (odd ones), so a command may be refused,
//!   and what was true once may be false later. A call begins when it first reaches a node that can decide it, which is
//!   the strictest reading for its answer; it may reach every node, several times, until it is answered: that covers
//!   forwarding, retries and handing on after a lost claim. The client takes the first answer.
//!   A second call with one key is a client's retry.
//! - Readers that resume from the position after any record.
//!
//! Not modelled: values, `log_id`s that differ, logs that were cut short (`tests/rewritten.rs` has those), the two steps of
//! the directory, keys that are confirmed from a lagging shard, deadlines. Kafka's own acknowledgement is not waited for
//! beside the read-back: a longer wait removes steps and adds none. Only safety is checked, not that a writer makes
//! progress: a writer whose own record is read back as void has to claim anew to go on, although no append of its failed.
//!
//! A refusal is about its attempt alone: another copy of a refused call may be decided otherwise elsewhere, and a test
//! shows that this happens.
//!
//! # What keeps it small
//! Nodes are interchangeable, so they send their first claims in the order of their numbers; so are calls with one key,
//! which begin in order. A node's progress in reading matters only where it decides: a follower has read to the end when it
//! claims (a claim on less is an earlier claim that lands later), and a void record changes nothing for a leader. A
//! restarted process reads to the end before it decides.
//!
//! # Bounds
//! Short ones in every run, long ones with `TEAMLOG_MODEL=long`, best with `--release`. Counted in distinct states; time
//! on one core, unoptimised for the short ones and optimised for the long ones:
//!
//! | test | short | long |
//! | --- | --- | --- |
//! | a retry and a takeover | 239,305 in 8 s | 13,436,028 in 112 s, 2.8 GB |
//! | appends that land twice | 205,380 in 6 s | 2,150,590 in 18 s |
//! | a name that comes and goes | 165,484 in 5 s | 947,372 in 8 s |
//! | a second takeover | 124,172 in 3 s | 1,781,496 in 15 s |
//! | three writers | 248,308 in 7 s | 2,298,333 in 29 s |
//!
//! Without any one of the rules the model breaks; `cargo test -p teamlog-log --test model -- --nocapture` shows the
//! shortest way.

// Numbers of states and shortest ways are for people; the test harness keeps them unless asked.
#![allow(clippy::print_stdout)]

mod model {
    pub(crate) mod properties;
    pub(crate) mod protocol;
    pub(crate) mod record;
    pub(crate) mod rules;
    pub(crate) mod state;
}

use std::collections::BTreeSet;
use std::time::Instant;

use model::properties;
use model::protocol::Protocol;
use model::rules::Rules;
use stateright::{Checker, HasDiscoveries, Model};

/// Bounds that are enough for a takeover, a gap and a retry.
const SMALL: Protocol = Protocol {
    rules: Rules::DESIGN,
    writers: 2,
    calls: &[0, 0, 1],
    log_max: 4,
    wire_max: 3,
    claims_max: 2,
    twice_max: 0,
};

/// Examines every state within the bounds.
fn holds(protocol: Protocol) {
    let start = Instant::now();
    let checker = protocol.checker().spawn_bfs().join();
    let (states, generated) = (checker.unique_state_count(), checker.state_count());
    println!("{states} states, {generated} steps, {} deep, {:.1?}: {protocol:?}", checker.max_depth(), start.elapsed());
    checker.assert_properties();
}

/// Expects the shortest way to break `property` to have so many steps.
fn breaks(protocol: Protocol, property: &'static str, steps: usize) {
    let start = Instant::now();
    let find = |depth_max: usize| {
        let enough = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        protocol.checker().finish_when(enough).target_max_depth(depth_max).spawn_bfs().join().discovery(property)
    };
    // The checker ends some steps after its first find, and returns its last one.
    let mut shortest = find(usize::MAX).unwrap_or_else(|| panic!("not found to break: {property}"));
    while let Some(shorter) = find(shortest.clone().into_states().len()) {
        shortest = shorter;
    }
    println!("broken: {property} ({:.1?})", start.elapsed());
    let log = shortest.last_state().log.clone();
    let answers = shortest.last_state().attempts.clone();
    let way = shortest.into_actions();
    way.iter().for_each(|step| println!("    {step:?}"));
    println!("    => {log:?}\n    => {answers:?}");
    assert_eq!(way.len(), steps, "the shortest way to break: {property}");
}

/// The bounds of `make test`, or the long ones if the environment says `TEAMLOG_MODEL=long`.
fn bounds(short: Protocol, long: Protocol) -> Protocol {
    if std::env::var("TEAMLOG_MODEL").is_ok_and(|bounds| bounds == "long") { long } else { short }
}

#[test]
fn holds_with_a_retry_and_a_takeover() {
    let short = Protocol { log_max: 5, ..SMALL };
    holds(bounds(short, Protocol { claims_max: 3, log_max: 6, ..short }));
}

#[test]
fn holds_with_appends_that_land_twice() {
    let short = Protocol { twice_max: 1, ..SMALL };
    holds(bounds(short, Protocol { twice_max: 2, log_max: 5, ..short }));
}

#[test]
fn holds_with_a_name_that_comes_and_goes() {
    let short = Protocol { calls: &[0, 1, 2], log_max: 5, wire_max: 2, ..SMALL };
    holds(bounds(short, Protocol { log_max: 6, wire_max: 3, ..short }));
}

#[test]
fn holds_with_a_second_takeover() {
    let short = Protocol { calls: &[0, 1], log_max: 5, wire_max: 2, claims_max: 3, ..SMALL };
    holds(bounds(short, Protocol { log_max: 6, twice_max: 1, ..short }));
}

#[test]
fn holds_with_three_writers() {
    let short = Protocol { writers: 3, calls: &[0, 1], log_max: 5, wire_max: 2, claims_max: 3, ..SMALL };
    holds(bounds(short, Protocol { calls: &[0, 0, 1], ..short }));
}

#[test]
fn breaks_without_seq() {
    let rules = Rules { seq: false, ..Rules::DESIGN };
    breaks(Protocol { rules, twice_max: 1, ..SMALL }, properties::KEY_ONCE, 6);
}

#[test]
fn breaks_without_read_back() {
    let rules = Rules { read_back: false, ..Rules::DESIGN };
    breaks(Protocol { rules, ..SMALL }, properties::ACKED_COUNTS, 7);
}

#[test]
fn breaks_without_a_closed_flag_in_positions() {
    let rules = Rules { closed_flag: false, ..Rules::DESIGN };
    breaks(Protocol { rules, ..SMALL }, properties::RESUMED_SAME, 7);
}

#[test]
fn breaks_without_a_new_claim_after_an_unknown_outcome() {
    let rules = Rules { claim_after_unknown: false, ..Rules::DESIGN };
    breaks(Protocol { rules, ..SMALL }, properties::KEY_ONCE, 8);
}

#[test]
fn breaks_with_a_claim_known_by_its_epoch() {
    let rules = Rules { claim_by_id: false, ..Rules::DESIGN };
    breaks(Protocol { rules, ..SMALL }, properties::ONE_WRITER, 6);
}

#[test]
fn breaks_with_a_void_claim_that_closes_an_epoch() {
    let rules = Rules { void_claim_is_harmless: false, ..Rules::DESIGN };
    breaks(Protocol { rules, ..SMALL }, properties::LOSER_HARMLESS, 7);
}

#[test]
fn breaks_with_a_refusal_answered_at_once() {
    let rules = Rules { refusal_waits: false, ..Rules::DESIGN };
    breaks(Protocol { rules, ..SMALL }, properties::REFUSAL_TRUE, 9);
}

#[test]
fn breaks_with_a_refusal_behind_what_was_in_flight() {
    let rules = Rules { behind_a_new_record: false, ..Rules::DESIGN };
    breaks(Protocol { rules, calls: &[0, 1, 2], wire_max: 2, ..SMALL }, properties::REFUSAL_TRUE, 12);
}

#[test]
fn breaks_with_a_repeat_answered_from_what_is_in_flight() {
    let rules = Rules { repeat_waits: false, ..Rules::DESIGN };
    breaks(Protocol { rules, ..SMALL }, properties::REPEAT_COUNTS, 5);
}
