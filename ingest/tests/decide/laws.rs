//! What holds for every sequence of commands.

use std::collections::BTreeSet;

use proptest::prelude::*;
use teamlog_ingest::{Command, Edit, ImportedConversation, ImportedMessage, NewConversation, NewPerson, Post};
use teamlog_schemas::{ConversationId, ConversationKind, Message, Text, Ts, UserId};
use teamlog_state::Team;

use crate::rig::{ADA, BOB, CYD, NOBODY, OLD, ROBO, Rig, user};

/// Numbers that a command is made of, once it is known what is there to be named.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    actor: usize,
    place: usize,
    message: usize,
    other: usize,
    /// Microseconds that the clock moves; at times back.
    moves: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let moves = prop_oneof![8 => 0i64..2_000_000, 1 => -5_000_000i64..0];
    let numbers = (0u8..34, 0usize..10, any::<usize>(), any::<usize>(), any::<usize>(), moves);
    let step = numbers.prop_map(|(what, actor, place, message, other, moves)| Step {
        what,
        actor,
        place,
        message,
        other,
        moves,
    });
    prop::collection::vec(step, 1..120)
}

const ACTORS: [&str; 10] = [ADA, ADA, ADA, BOB, BOB, CYD, CYD, ROBO, OLD, NOBODY];

fn command(rig: &Rig, step: &Step) -> Command {
    let pick = |from: &[ConversationId]| from[step.place % from.len()];
    let all: Vec<_> = rig.team.conversations().map(|c| c.conversation).collect();
    let conversation = pick(&all);
    let names = rig.names().remove(&conversation).unwrap_or_default();
    let ts = if names.is_empty() { Ts::from_micros(1) } else { names[step.message % names.len()] };
    let people: Vec<UserId> = rig.team.people().map(|member| member.person.user).collect();
    let someone = people[step.other % people.len()];
    let few: Vec<UserId> = (0..step.other % 4).map(|i| people[(step.other / 4 + i) % people.len()]).collect();
    let name = ["tada", "wave", "+1"][step.other % 3].to_owned();
    let text = format!("<@{someone}> said {}", step.message);
    let old = Ts::from_micros(1_400_000_000_000_000 + (step.message % 40) as i64);
    match step.what {
        0 => Command::CreateUser(Box::new(NewPerson {
            name: format!("p{}", step.other % 9),
            is_bot: step.message.is_multiple_of(3),
            with_token: true,
            ..NewPerson::default()
        })),
        1 => Command::IssueToken { user: someone },
        2 => Command::CreateConversation(Box::new(NewConversation {
            conversation: None,
            kind: if step.message.is_multiple_of(2) {
                ConversationKind::PublicChannel
            } else {
                ConversationKind::PrivateChannel
            },
            name: Some(format!("c{}", step.other % 9)),
            members: few,
            imported: None,
        })),
        3 => Command::CreateConversation(Box::new(NewConversation {
            conversation: Some(format!("D0IMP{}", step.message % 5).parse().unwrap()),
            kind: ConversationKind::Im,
            name: None,
            members: vec![someone, user(BOB)],
            imported: Some(ImportedConversation { created: old, ..ImportedConversation::default() }),
        })),
        4 => Command::OpenDirect { users: few },
        5 => Command::OpenConversation { conversation },
        6 => Command::CloseDirect { conversation },
        7 | 8 => Command::Join { conversation },
        9 => Command::Invite { conversation, users: few },
        10 => Command::Leave { conversation },
        11 => Command::Kick { conversation, user: someone },
        12 => Command::Rename { conversation, name: format!("c{}", step.other % 9) },
        13 => Command::SetTopic { conversation, topic: text },
        14 => Command::SetPurpose { conversation, purpose: String::new() },
        15 => Command::Archive { conversation },
        16 => Command::Unarchive { conversation },
        17 => Command::Edit(Box::new(Edit {
            conversation,
            ts,
            text: Some(text),
            blocks: None,
            attachments: None,
            expected_edited_ts: None,
        })),
        18 | 19 => Command::Delete { conversation, ts },
        20 => Command::React { conversation, ts, name },
        21 => Command::Unreact { conversation, ts, name },
        22 => Command::ImportMessage(Box::new(ImportedMessage {
            conversation,
            message: Message {
                ts: old,
                user: Some(someone),
                text: Text::from(text),
                thread_ts: names.first().copied().filter(|root| *root < old && step.other.is_multiple_of(2)),
                ..Message::default()
            },
            reactions: Vec::new(),
        })),
        _ => Command::Post(Box::new(Post {
            conversation: Some(conversation),
            text,
            thread_ts: (step.other.is_multiple_of(2)).then_some(ts),
            reply_broadcast: step.other.is_multiple_of(3),
            ..Post::default()
        })),
    }
}

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
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

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
