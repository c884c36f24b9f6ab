//! `Team::apply`, event by event.

use teamlog_schemas::*;
use teamlog_state::{Team, TokenHash};

use crate::events::*;

fn hash() -> TokenHash {
    let mut hash = [0; 32];
    hash[31] = 0xff;
    hash
}

#[test]
fn a_team_begins_with_its_owner_in_every_first_channel() {
    let team = team();
    assert_eq!((team.domain(), team.name(), team.shard(), team.created()), ("acme", "Acme", "s1", ts(1)));
    assert_eq!(team.general().unwrap().conversation, general());
    assert_eq!(team.channel_named("random").unwrap().conversation, random());
    assert!(team.is_member(ada(), general()) && team.is_member(ada(), random()));
    assert_eq!(team.conversations_of(ada()).count(), 2);
    assert_eq!(team.token(&hash()).unwrap().user, ada());
    // What nobody set was set by nobody.
    assert_eq!(team.general().unwrap().purpose.creator, Some(ada()));
    assert_eq!(team.channel_named("random").unwrap().purpose.creator, None);
    assert_eq!(team.channel_named("random").unwrap().latest, Ts::ZERO);
}

#[test]
fn only_team_created_begins_a_team() {
    assert!(Team::begin(&std::sync::Arc::new(comes(bob(), "bob", 2))).is_none());
}

#[test]
fn people_are_found_by_id_name_and_email() {
    let team = team();
    assert_eq!(team.people_len(), 3);
    let order: Vec<_> = team.people().map(|member| member.person.user).collect();
    assert_eq!(order, [ada(), bob(), cy()]);
    assert_eq!(team.person_named("bob").unwrap().person.user, bob());
    assert_eq!(team.person_by_email("CY@acme.EXAMPLE").unwrap().person.user, cy());
    assert_eq!(team.person(cy()).unwrap().since, ts(3));
    assert!(!team.is_free_user_id(cy()) && team.is_free_user_id("U0DAN".parse().unwrap()));
    assert!(team.person_named("dan").is_none() && team.person_by_email("dan@acme.example").is_none());
}

#[test]
fn a_persons_second_coming_changes_nothing() {
    let mut team = team();
    let before = rows(&team);
    fold(&mut team, [comes(bob(), "robert", 9)]);
    assert_eq!(rows(&team), before);
}

#[test]
fn a_bot_is_added() {
    let mut team = team();
    let bot: BotId = "B0HOOK".parse().unwrap();
    fold(&mut team, [BotAdded { meta: meta(ada(), 5), bot, name: "hook".into(), extra: None }.into()]);
    assert_eq!(team.bot(bot).unwrap().name.as_str(), "hook");
    assert_eq!(team.bots().count(), 1);
}

#[test]
fn a_token_lives_until_it_is_revoked() {
    let mut team = team();
    let other = Token { user: bob(), kind: TokenKind::Bot, hash: HASH.replace("ff", "aa") };
    let mut other_hash = hash();
    other_hash[31] = 0xaa;
    fold(&mut team, [TokenIssued { meta: meta(ada(), 5), token: other.clone() }.into()]);
    assert!(!team.token(&other_hash).unwrap().revoked);
    fold(&mut team, [TokenRevoked { meta: meta(ada(), 6), user: bob(), hash: other.hash.clone() }.into()]);
    assert!(team.token(&other_hash).unwrap().revoked);
    assert!(!team.token(&hash()).unwrap().revoked);
    // Issued again it stays dead.
    fold(&mut team, [TokenIssued { meta: meta(ada(), 7), token: other }.into()]);
    assert!(team.token(&other_hash).unwrap().revoked);
}

#[test]
fn a_channel_begins_with_its_creators_join_message() {
    let mut team = team();
    let id: ConversationId = "G0SECRET".parse().unwrap();
    let mut event = begins(id, ConversationKind::PrivateChannel, &[bob()], 10);
    event.topic = "psst".into();
    fold(&mut team, [event.into()]);
    let channel = team.conversation(id).unwrap();
    assert_eq!((channel.latest, channel.first_posted, channel.ordinal), (ts(10), ts(10), 0));
    assert_eq!((channel.topic.value.as_str(), channel.topic.creator), ("psst", Some(bob())));
    assert_eq!(team.channel_named("g0secret").unwrap().conversation, id);
    assert!(team.may_read(bob(), id) && !team.may_read(ada(), id));
    assert!(team.may_read(cy(), random()), "a public channel is everybody's");
    assert_eq!(team.last_ts(), ts(10));
}

#[test]
fn an_imported_channel_has_no_message_of_ours() {
    let mut team = team();
    let id: ConversationId = "C0OLD".parse().unwrap();
    let event = ConversationCreated {
        imported: true,
        is_archived: true,
        ..begins(id, ConversationKind::PublicChannel, &[bob(), cy()], 2)
    };
    let before = team.last_ts();
    fold(&mut team, [event.into()]);
    let channel = team.conversation(id).unwrap();
    assert_eq!((channel.latest, channel.first_posted), (Ts::ZERO, Ts::MAX));
    assert!(channel.is_archived && team.is_member(bob(), id) && team.is_member(cy(), id));
    assert_eq!(team.last_ts(), before);
}

#[test]
fn people_join_and_leave() {
    let mut team = team();
    fold(&mut team, [joins(random(), &[bob(), cy()], 10)]);
    let members: Vec<_> =
        team.members_of(team.conversation(random()).unwrap()).map(|member| member.person.user).collect();
    assert_eq!(members, [ada(), bob(), cy()]);
    assert_eq!((team.last_ts(), team.conversation(random()).unwrap().latest), (ts(11), ts(11)));
    fold(&mut team, [leaves(random(), bob(), 12)]);
    assert!(!team.is_member(bob(), random()) && team.is_member(cy(), random()));
    assert_eq!(team.conversations_of(bob()).map(|c| c.conversation).collect::<Vec<_>>(), [general()]);
    // Comings and goings are nobody's unread messages.
    let channel = team.conversation(random()).unwrap();
    assert_eq!((channel.ordinal, channel.latest, channel.first_posted), (0, ts(12), ts(10)));
}

#[test]
fn a_direct_message_is_found_by_its_people() {
    let mut team = team();
    fold(&mut team, [begins(direct(), ConversationKind::Im, &[ada(), bob()], 10).into()]);
    assert_eq!(team.direct(&[bob(), ada(), bob()]).unwrap().conversation, direct());
    assert!(team.direct(&[ada()]).is_none() && team.direct(&[ada(), cy()]).is_none());
    assert!(team.direct(&[ada(), "U0DAN".parse().unwrap()]).is_none());
    assert!(team.channel_named(&direct().to_string()).is_none());
    // No join message, so no ts was given out.
    assert_eq!(team.conversation(direct()).unwrap().latest, Ts::ZERO);
}

#[test]
fn a_direct_message_shows_itself_with_the_first_post() {
    let mut team = team();
    let closed_for =
        |team: &Team, user| team.conversation(direct()).unwrap().closed_for.contains(team.person_index(user).unwrap());
    fold(&mut team, [begins(direct(), ConversationKind::Im, &[ada(), bob()], 10).into()]);
    assert!(!closed_for(&team, ada()) && closed_for(&team, bob()));
    let post = MessagePosted { opens_for: vec![bob()], ..posts(direct(), message(ada(), 11)) };
    fold(&mut team, [post.into()]);
    assert!(!closed_for(&team, bob()));
    fold(&mut team, [ConversationClosed { meta: meta(ada(), 12), conversation: direct() }.into()]);
    assert!(closed_for(&team, ada()) && !closed_for(&team, bob()));
    fold(&mut team, [ConversationOpened { meta: meta(ada(), 13), conversation: direct() }.into()]);
    assert!(!closed_for(&team, ada()));
    assert!(team.is_member(ada(), direct()), "who closes is still a member");
}

#[test]
fn an_imported_direct_message_is_open() {
    let mut team = team();
    let imported = ConversationCreated { imported: true, ..begins(direct(), ConversationKind::Im, &[ada(), bob()], 2) };
    fold(&mut team, [imported.into()]);
    assert!(team.conversation(direct()).unwrap().closed_for.is_empty());
}

#[test]
fn a_renamed_channel_is_found_by_its_new_name_only() {
    let mut team = team();
    let renamed = |old: &str, new: &str, at| {
        let (meta, old_name, name) = (meta(ada(), at), old.to_owned(), new.to_owned());
        Event::from(ConversationRenamed { meta, conversation: random(), old_name, name, ts: ts(at) })
    };
    fold(&mut team, [renamed("random", "chance", 10), renamed("chance", "luck", 11)]);
    assert!(team.channel_named("random").is_none() && team.channel_named("chance").is_none());
    let channel = team.channel_named("luck").unwrap();
    assert_eq!((channel.name.as_deref(), channel.latest), (Some("luck"), ts(11)));
    assert_eq!(channel.previous_names, ["random", "chance"]);
}

#[test]
fn topic_purpose_and_archive() {
    let mut team = team();
    let at = |at| (meta(bob(), at), ts(at));
    let channel = |team: &Team| team.conversation(general()).unwrap().clone();
    let (meta, when) = at(10);
    fold(&mut team, [TopicSet { meta, conversation: general(), topic: "now".into(), ts: when }.into()]);
    let topic = channel(&team).row.topic;
    assert_eq!((topic.value.as_str(), topic.creator, topic.last_set), ("now", Some(bob()), ts(10)));
    let (meta, when) = at(11);
    fold(&mut team, [PurposeSet { meta, conversation: general(), purpose: "".into(), ts: when }.into()]);
    let purpose = channel(&team).row.purpose;
    assert_eq!((purpose.value.as_str(), purpose.creator, purpose.last_set), ("", Some(bob()), ts(11)));
    let (meta, when) = at(12);
    fold(&mut team, [ConversationArchived { meta, conversation: general(), ts: when }.into()]);
    assert!(channel(&team).is_archived);
    let (meta, when) = at(13);
    fold(&mut team, [ConversationUnarchived { meta, conversation: general(), ts: when }.into()]);
    assert!(!channel(&team).is_archived);
    assert_eq!((team.last_ts(), channel(&team).latest, channel(&team).ordinal), (ts(13), ts(13), 0));
}

#[test]
fn ordinals_count_what_is_unread() {
    let mut team = team();
    let subtyped = |subtype: &str, at| Message { subtype: Some(subtype.into()), ..message(bob(), at) };
    let said = [
        (message(bob(), 10), 1),
        (subtyped("me_message", 11), 2),
        (subtyped("bot_message", 12), 3),
        (subtyped("channel_join", 13), 3),
        (reply(ada(), 14, 10), 3),
        (Message { reply_broadcast: true, ..reply(ada(), 15, 10) }, 4),
        // A root says its own ts as thread_ts.
        (reply(ada(), 16, 16), 5),
    ];
    for (message, ordinal) in said {
        let at = message.ts;
        fold(&mut team, [posts(general(), message).into()]);
        let channel = team.conversation(general()).unwrap();
        assert_eq!((channel.ordinal, channel.latest), (ordinal, at));
    }
    assert_eq!(team.conversation(general()).unwrap().first_posted, ts(4), "Bob's join was the first");
    assert_eq!(team.conversation(random()).unwrap().first_posted, Ts::MAX);
}

#[test]
fn what_was_imported_is_read_and_gives_out_no_ts() {
    let mut team = team();
    let before = team.last_ts();
    fold(&mut team, [imports(random(), message(bob(), 3)).into(), imports(random(), message(bob(), 2)).into()]);
    let channel = team.conversation(random()).unwrap();
    assert_eq!((channel.latest, channel.first_posted, channel.ordinal), (ts(3), Ts::MAX, 0));
    assert_eq!(team.last_ts(), before);
}

#[test]
fn an_edit_gives_out_a_ts_and_changes_no_team() {
    let mut team = team();
    fold(&mut team, [posts(general(), message(bob(), 10)).into()]);
    let (before, conversation) = (message(bob(), 10), general());
    let after = Message { edited: Some(Edited { user: bob(), ts: ts(20) }), ..before.clone() };
    fold(&mut team, [MessageEdited { meta: meta(bob(), 20), conversation, before: before.clone(), after }.into()]);
    assert_eq!((team.last_ts(), team.conversation(general()).unwrap().latest), (ts(20), ts(10)));
    let was = rows(&team);
    let (name, item_author) = ("tada".to_owned(), Some(bob()));
    let deleted = MessageDeleted { meta: meta(bob(), 21), conversation, before, tombstone: false, thread: None };
    let added = ReactionAdded { meta: meta(ada(), 22), conversation, ts: ts(10), name: name.clone(), item_author };
    let removed = ReactionRemoved { meta: meta(ada(), 23), conversation, ts: ts(10), name, item_author };
    let password = PasswordSet { meta: meta(ada(), 24), user: ada(), credential_id: uuid::Uuid::nil() };
    fold(&mut team, [deleted.into(), added.into(), removed.into(), password.into()]);
    assert_eq!(rows(&team), was, "what these change lies in rows");
}

#[test]
fn what_cannot_be_is_passed_over() {
    let mut team = team();
    let before = rows(&team);
    let nowhere: ConversationId = "C0NOWHERE".parse().unwrap();
    let nobody: UserId = "U0NOBODY".parse().unwrap();
    fold(
        &mut team,
        [
            leaves(nowhere, bob(), 2),
            joins(random(), &[nobody], 0),
            ConversationClosed { meta: meta(nobody, 2), conversation: random() }.into(),
            TokenRevoked { meta: meta(ada(), 2), user: ada(), hash: "no hash".into() }.into(),
            ReadMarked { meta: meta(ada(), 999), conversation: general(), ts: ts(999) }.into(),
        ],
    );
    // That somebody joined is said in the channel, whoever they are; here at 0, the zero of `latest`.
    let at_zero = before.replacen(&format!("first_posted: {}", Ts::MAX), &format!("first_posted: {}", Ts::ZERO), 1);
    assert_eq!(rows(&team), at_zero);
}
