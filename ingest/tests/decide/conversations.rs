//! Channels and direct messages.

use teamlog_ingest::{
    Command, Nothing,
    commands::{
        Archive, CloseDirect, CreateConversation, CreateUser, ImportedConversation, Invite, Join, Kick, Leave,
        OpenConversation, OpenDirect, React, Rename, SetPurpose, SetTopic, Unarchive,
    },
};
use teamlog_schemas::{ConversationId, ConversationKind, Event, Ts};

use crate::rig::{ADA, BOB, CYD, NOBODY, OLD, ROBO, Rig, create, post, user};

use ConversationKind::{Im, Mpim, PrivateChannel, PublicChannel};

const NOWHERE: &str = "CNOWHERE";

fn invite(conversation: ConversationId, users: &[&str]) -> Command {
    Command::from(Invite { conversation, users: users.iter().map(|id| user(id)).collect() })
}

#[test]
fn names_of_channels() {
    let mut rig = Rig::new();
    for (name, outcome) in [
        ("", "invalid_name_required"),
        (&*"a".repeat(81), "invalid_name_maxlength"),
        ("Has Space!", "invalid_name_specials"),
        ("Upper", "invalid_name_specials"),
        ("a.b", "invalid_name_specials"),
        ("-_-", "invalid_name_punctuation"),
        ("general", "name_taken"),
        (&*"a".repeat(80), "ConversationCreated"),
        ("größe_1-日本", "ConversationCreated"),
    ] {
        rig.check(BOB, create(name, PublicChannel), outcome);
    }
    rig.check(BOB, create("x", Im), "method_not_supported_for_channel_type");
    // A private channel's name is taken for everybody.
    rig.creates(ADA, "secret", PrivateChannel);
    rig.check(BOB, create("secret", PublicChannel), "name_taken");
}

#[test]
fn joining_inviting_leaving() {
    let mut rig = Rig::new();
    let open = rig.creates(ADA, "open", PublicChannel);
    let secret = rig.creates(ADA, "secret", PrivateChannel);
    let general = rig.channel("general");
    let direct = rig.opens(ADA, &[BOB]);
    let join = |conversation| Command::from(Join { conversation });
    rig.check(BOB, join(NOWHERE.parse().unwrap()), "channel_not_found");
    rig.check(BOB, join(secret), "channel_not_found");
    rig.check(BOB, join(direct), "method_not_supported_for_channel_type");
    rig.check(BOB, invite(open, &[CYD]), "not_in_channel");
    rig.check(BOB, invite(secret, &[CYD]), "channel_not_found");
    rig.check(BOB, join(open), "MembersJoined");
    rig.check(BOB, join(open), "AlreadyIn");

    rig.check(ADA, invite(open, &[BOB]), "already_in_channel");
    rig.check(ADA, invite(open, &[ADA]), "cant_invite_self");
    rig.check(ADA, invite(open, &["UNONE"]), "user_not_found");
    rig.check(ADA, invite(open, &[OLD]), "user_disabled");
    rig.check(ADA, invite(open, &[]), "user_not_found");
    let joined = rig.does(ADA, invite(open, &[BOB, CYD, ROBO, CYD]));
    let Event::MembersJoined(joined) = &*joined else { unreachable!() };
    assert_eq!(joined.inviter, Some(user(ADA)));
    assert_eq!(joined.joined.iter().map(|one| one.user).collect::<Vec<_>>(), [user(CYD), user(ROBO)]);
    assert!(joined.joined[0].ts < joined.joined[1].ts, "each has a join message of their own");

    let leave = |conversation| Command::from(Leave { conversation });
    rig.check(BOB, leave(general), "cant_leave_general");
    rig.check(BOB, leave(direct), "method_not_supported_for_channel_type");
    rig.check(ADA, leave(secret), "last_member");
    rig.check(CYD, leave(open), "MemberLeft");
    rig.check(CYD, leave(open), "NotIn");
    rig.check(CYD, post(open, "hello"), "not_in_channel");
}

#[test]
fn removing_people() {
    let mut rig = Rig::new();
    let open = rig.creates(BOB, "open", PublicChannel);
    rig.does(BOB, invite(open, &[ADA, CYD, ROBO]));
    let kick = |conversation, id| Command::from(Kick { conversation, user: user(id) });
    let general = rig.channel("general");
    rig.check(ADA, kick(open, ADA), "cant_kick_self");
    rig.check(ADA, kick(general, BOB), "cant_kick_from_general");
    rig.check(CYD, kick(open, ROBO), "restricted_action");
    rig.check(ADA, kick(open, "UNONE"), "user_not_found");
    rig.check(ADA, kick(open, OLD), "not_in_channel");
    rig.check(BOB, kick(open, ROBO), "MemberLeft");
    rig.check(ADA, kick(open, CYD), "MemberLeft");
    rig.check(ADA, kick(open, CYD), "not_in_channel");
    // A private channel is its members' own.
    let secret = rig.creates(ADA, "secret", PrivateChannel);
    rig.check(CYD, kick(secret, ADA), "channel_not_found");
    rig.does(ADA, invite(secret, &[BOB, CYD]));
    rig.check(CYD, kick(secret, BOB), "MemberLeft");
}

#[test]
fn renaming_and_headlines() {
    let mut rig = Rig::new();
    let open = rig.creates(BOB, "open", PublicChannel);
    let direct = rig.opens(ADA, &[BOB]);
    rig.does(CYD, Join { conversation: open });
    let rename = |name: &str| Command::from(Rename { conversation: open, name: name.to_owned() });
    rig.check(ADA, rename("shut"), "not_in_channel");
    rig.check(CYD, rename("shut"), "not_authorized");
    rig.check(BOB, rename("general"), "name_taken");
    rig.check(BOB, rename("Shut"), "invalid_name_specials");
    rig.check(BOB, rename("shut"), "ConversationRenamed");
    rig.check(CYD, create("open", PublicChannel), "ConversationCreated");
    assert_eq!(rig.channel("shut"), open);

    let topic = |conversation, text: &str| Command::from(SetTopic { conversation, topic: text.to_owned() });
    let purpose = |conversation, text: &str| Command::from(SetPurpose { conversation, purpose: text.to_owned() });
    rig.check(ADA, topic(open, "t"), "not_in_channel");
    rig.check(BOB, topic(direct, "t"), "method_not_supported_for_channel_type");
    rig.check(BOB, topic(open, &"ü".repeat(251)), "too_long");
    rig.check(BOB, topic(open, &"ü".repeat(250)), "TopicSet");
    rig.check(CYD, purpose(open, &"ü".repeat(251)), "too_long");
    rig.check(CYD, purpose(open, ""), "PurposeSet");
}

#[test]
fn the_archive() {
    let mut rig = Rig::new();
    let open = rig.creates(BOB, "open", PublicChannel);
    let ts = rig.posts(BOB, open, "first");
    let general = rig.channel("general");
    let archive = |conversation| Command::from(Archive { conversation });
    let unarchive = |conversation| Command::from(Unarchive { conversation });
    rig.check(ADA, archive(general), "cant_archive_general");
    rig.check(CYD, archive(open), "not_in_channel");
    rig.check(BOB, unarchive(open), "not_archived");
    rig.check(ADA, archive(open), "ConversationArchived");
    rig.check(BOB, archive(open), "already_archived");
    for command in [
        post(open, "x"),
        invite(open, &[CYD]),
        Command::from(Leave { conversation: open }),
        Command::from(SetTopic { conversation: open, topic: String::new() }),
        Command::from(Rename { conversation: open, name: "shut".to_owned() }),
        Command::from(React { conversation: open, ts, name: "tada".to_owned() }),
    ] {
        rig.check(BOB, command, "is_archived");
    }
    rig.check(CYD, Join { conversation: open }, "is_archived");
    rig.check(CYD, create("open", PublicChannel), "name_taken");
    rig.check(BOB, unarchive(open), "ConversationUnarchived");
    rig.check(BOB, post(open, "x"), "MessagePosted");
}

#[test]
fn a_direct_message_is_found_by_who_is_in_it() {
    let mut rig = Rig::new();
    let open = |users: &[&str]| Command::from(OpenDirect { users: users.iter().map(|id| user(id)).collect() });
    rig.check(ADA, open(&["UNONE"]), "user_not_found");
    rig.check(ADA, open(&[OLD]), "user_disabled");
    let pair = rig.opens(ADA, &[BOB]);
    assert!(pair.to_string().starts_with('D'));
    rig.check(ADA, open(&[BOB, BOB, ADA]), "AlreadyOpen");
    // It is shown to the other one once they open it, or something is said.
    rig.check(BOB, open(&[ADA]), "ConversationOpened");
    rig.check(BOB, open(&[ADA]), "AlreadyOpen");
    let own = rig.opens(BOB, &[]);
    assert_ne!(own, pair);
    let group = rig.opens(ADA, &[BOB, CYD]);
    let there = rig.team.conversation(group).unwrap();
    assert_eq!((there.kind, there.name.as_deref()), (Mpim, Some("mpdm-ada--bob--cyd-1")));
    assert_eq!(rig.team.direct(&[user(CYD), user(ADA), user(BOB)]).unwrap().conversation, group);

    let close = |conversation| Command::from(CloseDirect { conversation });
    let general = rig.channel("general");
    rig.check(CYD, close(pair), "channel_not_found");
    rig.check(CYD, close(general), "method_not_supported_for_channel_type");
    rig.check(BOB, close(pair), "ConversationClosed");
    rig.check(BOB, close(pair), "AlreadyClosed");
    let Event::MessagePosted(posted) = &*rig.does(ADA, post(pair, "hello")) else { unreachable!() };
    assert_eq!(posted.opens_for, [user(BOB)]);
    rig.check(BOB, OpenConversation { conversation: pair }, "AlreadyOpen");
}

#[test]
fn a_group_is_of_nine_at_most() {
    let mut rig = Rig::new();
    let others: Vec<_> = (0..9).map(|i| user(&format!("UG{i}"))).collect();
    for (i, id) in others.iter().enumerate() {
        let new = teamlog_ingest::NewPerson { user: Some(*id), name: format!("g{i}"), ..Default::default() };
        rig.does(NOBODY, CreateUser(new));
    }
    rig.check(ADA, OpenDirect { users: others.clone() }, "too_many_users");
    rig.check(ADA, OpenDirect { users: others[..8].to_vec() }, "ConversationCreated");
}

fn imported(id: &str, kind: ConversationKind, name: Option<&str>, members: &[&str]) -> Command {
    Command::from(CreateConversation {
        conversation: Some(id.parse().unwrap()),
        kind,
        name: name.map(str::to_owned),
        members: members.iter().map(|id| user(id)).collect(),
        imported: Some(ImportedConversation {
            created: Ts::from_micros(1_400_000_000_000_000),
            is_general: true,
            ..ImportedConversation::default()
        }),
    })
}

#[test]
fn an_import_keeps_what_was_and_can_be_run_again() {
    let mut rig = Rig::new();
    let channel = |name| imported("C0OLD", PublicChannel, Some(name), &[BOB, OLD]);
    rig.check(BOB, channel("old"), "restricted_action");
    rig.check(NOBODY, channel("general"), "name_taken");
    let made = rig.does(NOBODY, channel("old.times"));
    assert!(made.messages().is_empty(), "nobody is told that it began");
    assert!(rig.team.is_member(user(OLD), "C0OLD".parse().unwrap()));
    assert_eq!(rig.team.general().unwrap().name.as_deref(), Some("general"), "a team has one general channel");
    rig.check(NOBODY, channel("old.times"), "AlreadyImported");

    let pair = rig.opens(ADA, &[BOB]);
    let there = rig.ask(NOBODY, imported("D0OLD", Im, None, &[BOB, ADA]));
    let Ok(teamlog_ingest::Decision::Nothing(Nothing::AlreadyOpen(id))) = there else { panic!("{there:?}") };
    assert_eq!(id, pair, "an imported pair is the pair that is there");
    let gone = rig.does(NOBODY, imported("D1OLD", Im, None, &[BOB, OLD]));
    assert_eq!(rig.opens_again(BOB, OLD), gone.conversation());
}

impl Rig {
    /// The direct message that is there and open.
    fn opens_again(&mut self, actor: &str, other: &str) -> Option<ConversationId> {
        match self.ask(actor, OpenDirect { users: vec![user(other)] }) {
            Ok(teamlog_ingest::Decision::Nothing(Nothing::AlreadyOpen(id))) => Some(id),
            _ => None,
        }
    }
}
