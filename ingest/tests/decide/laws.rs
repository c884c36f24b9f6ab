//! Properties of every sequence of commands.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use teamlog_ingest::{Command, commands::Scene};
use teamlog_schemas::{Ts, UserId};
use teamlog_state::Team;

use crate::rig::{ADA, BOB, CYD, NOBODY, OLD, ROBO, Rig};

/// Numbers that a command is made of, once it is known what is there to be named.
#[derive(Clone, Debug)]
struct Step {
    kind: Kind,
    sample: prop::sample::Index,
    actor: usize,
    place: usize,
    message: usize,
    other: usize,
    /// Microseconds that the clock moves; at times back.
    moves: i64,
}

/// The command of a step: many are posts, so that there are messages for the others.
#[derive(Clone, Debug)]
enum Kind {
    Post,
    Any(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![1 => Just(Kind::Post), 2 => any::<prop::sample::Index>().prop_map(Kind::Any)];
    let moves = prop_oneof![8 => 0i64..2_000_000, 1 => -5_000_000i64..0];
    let sample = any::<prop::sample::Index>();
    let numbers = (kind, sample, 0usize..10, any::<usize>(), any::<usize>(), any::<usize>(), moves);
    numbers.prop_map(|(kind, sample, actor, place, message, other, moves)| Step {
        kind,
        sample,
        actor,
        place,
        message,
        other,
        moves,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..120)
}

const ACTORS: [&str; 10] = [ADA, ADA, ADA, BOB, BOB, CYD, CYD, ROBO, OLD, NOBODY];

/// Returns what is there to be named, by a step's numbers.
fn scene(rig: &Rig, step: &Step) -> Scene {
    let conversations: Vec<_> = rig.team.conversations().map(|c| c.conversation).collect();
    let conversation = conversations[step.place % conversations.len()];
    let messages = rig.names().remove(&conversation).unwrap_or_default();
    // Often a new message and a member: few have done anything yet to the others.
    let newest = if step.other.is_multiple_of(2) { messages.len().min(3) } else { messages.len() };
    let message = messages.iter().rev().nth(step.message % newest.max(1)).copied().unwrap_or(Ts::from_micros(1));
    let members = rig.members.iter().filter(|(of, _)| *of == conversation);
    let members: Vec<UserId> = members.map(|(_, user)| *user).collect();
    let everybody: Vec<UserId> = rig.team.people().map(|member| member.person.user).collect();
    let people = if members.is_empty() || step.other.is_multiple_of(3) { everybody } else { members };
    let hashes = token_hashes(rig);
    let scheduled = rig.scheduled();
    Scene {
        team: rig.team.id(),
        conversation,
        message,
        user: people[step.other % people.len()],
        users: (0..step.other % 4).map(|i| people[(step.other / 4 + i) % people.len()]).collect(),
        token_hash: hashes[step.message % hashes.len()].clone(),
        schedule: scheduled.get(step.message % scheduled.len().max(1)).map_or("Q1".parse().unwrap(), |(id, _)| *id),
        later: Ts::from_micros(rig.clock + 1 + (step.other % 3) as i64 * 45_000_000),
        long_ago: Ts::from_micros(1_400_000_000_000_000 + (step.message % 40) as i64),
        number: step.other,
    }
}

fn token_hashes(rig: &Rig) -> Vec<String> {
    rig.events.iter().filter_map(|event| event.token()).map(|token| token.hash.clone()).collect()
}

/// Returns a sample of the step's command. Every command of the registry comes as often as any other.
fn command(rig: &Rig, step: &Step) -> Command {
    let name = match &step.kind {
        Kind::Post => "Post",
        Kind::Any(index) => index.get(Command::NAMES),
    };
    let samples = Command::samples(&scene(rig, step)).into_iter().filter(|sample| sample.name() == name);
    let samples: Vec<_> = samples.collect();
    assert!(!samples.is_empty(), "{name} has no sample");
    step.sample.get(&samples).clone()
}

#[test]
fn every_command_can_make_its_event() {
    let mut runner = TestRunner::deterministic();
    let mut rig = Rig::new();
    let mut undone: BTreeSet<_> = Command::NAMES.iter().copied().collect();
    // The rig's team has begun. How one begins is tested in `beginnings.rs`.
    undone.remove("BeginTeam");
    for number in 0..STEPS_MAX {
        if number % STEPS_A_TEAM == 0 {
            rig = Rig::new();
        }
        let step = step().new_tree(&mut runner).unwrap().current();
        let command = command(&rig, &step);
        rig.clock += step.moves;
        let before = rig.events.len();
        rig.outcome(ACTORS[step.actor], command.clone());
        if let Some(event) = rig.events.get(before) {
            assert!(command.could_make(event), "{} made a {}", command.name(), event.name());
            undone.remove(command.name());
        }
        if undone.is_empty() {
            return;
        }
    }
    panic!("no sample of these could be done: {undone:?}");
}

/// Steps after which every command was done once: some times as many as are needed.
const STEPS_MAX: usize = 100_000;
/// Steps in one team. In a larger one it is rare that somebody undoes what they did to one of its many messages.
const STEPS_A_TEAM: usize = 300;

fn shown(team: &Team) -> String {
    format!("{:#?}", team.to_rows())
}

/// A thread says what its replies say.
fn threads_are_true(rig: &Rig) {
    for ((conversation, root), fact) in &rig.rows.messages {
        let Some(fact) = fact else { continue };
        let there = &rig.rows.replies[&(*conversation, *root)];
        let alive = there.iter().filter(|(ts, _)| rig.fact(*conversation, *ts).is_some()).count();
        assert_eq!(alive, there.len(), "a reply that is gone is not in its thread");
        let thread = fact.thread.as_ref();
        assert_eq!(thread.map_or(0, |thread| thread.reply_count) as usize, there.len(), "{conversation} {root}");
        assert_eq!(thread.and_then(|thread| thread.latest_reply), there.iter().map(|(ts, _)| *ts).max());
    }
}

proptest! {
    #![proptest_config(Config { cases: 200, ..Config::default() })]

    /// `Rig` holds every single event to its laws: it encodes within the limit and decodes to itself, its `ts` is above
    /// all before it, and no two messages of a conversation have one name.
    #[test]
    fn a_team_is_what_its_events_say(steps in steps(), cut in any::<prop::sample::Index>()) {
        let mut rig = Rig::new();
        let mut posted: Vec<Ts> = Vec::new();
        for step in &steps {
            rig.clock += step.moves;
            let command = command(&rig, step);
            let before = rig.events.len();
            rig.outcome(ACTORS[step.actor], command);
            posted.extend(rig.events[before..].iter().map(|event| event.given_ts()).filter(|ts| *ts > Ts::ZERO));
        }
        prop_assert!(posted.is_sorted_by(|a, b| a < b), "ts strictly increases");
        let members: BTreeSet<_> = rig.team.to_rows().members.into_iter().collect();
        prop_assert_eq!(&members, &rig.members, "people are where the events put them");
        for member in rig.team.people() {
            let user = member.person.user;
            let theirs: BTreeSet<_> = rig.team.conversations_of(user).map(|c| (c.conversation, user)).collect();
            let told: BTreeSet<_> = members.iter().copied().filter(|(_, one)| *one == user).collect();
            prop_assert_eq!(theirs, told, "both ways of asking agree");
        }
        threads_are_true(&rig);

        // A team that was written to rows and read again is the same, now and after any events to come.
        prop_assert_eq!(shown(&Team::from_rows(rig.team.to_rows())), shown(&rig.team));
        let cut = 1 + cut.index(rig.events.len());
        let mut folded = Team::begin(&rig.events[0]).unwrap();
        rig.events[1..cut].iter().for_each(|event| folded.apply(event));
        let mut restored = Team::from_rows(folded.to_rows());
        rig.events[cut..].iter().for_each(|event| restored.apply(event));
        prop_assert_eq!(shown(&restored), shown(&rig.team));
        // What is looked up by something else than an id is found again too.
        for conversation in rig.team.conversations() {
            if let Some(name) = conversation.name.as_deref().filter(|_| conversation.kind.is_channel()) {
                prop_assert_eq!(restored.channel_named(name).map(|c| c.conversation), Some(conversation.conversation));
            } else if !conversation.kind.is_channel() {
                let users: Vec<_> = rig.team.members_of(conversation).map(|member| member.person.user).collect();
                prop_assert_eq!(restored.direct(&users).map(|c| c.conversation), Some(conversation.conversation));
            }
        }
        prop_assert_eq!(
            restored.general().map(|c| c.conversation),
            rig.team.general().map(|c| c.conversation)
        );
    }
}
