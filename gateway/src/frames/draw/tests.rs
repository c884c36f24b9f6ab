pub(super) use std::sync::Arc;

pub(super) use teamlog_schemas::*;
pub(super) use uuid::Uuid;

use super::*;

pub(super) fn ts(seconds: i64) -> Ts {
    Ts::from_micros(seconds * 1_000_000)
}

pub(super) fn meta(actor: &str, at: i64) -> Meta {
    let actor = Some(actor.parse().unwrap());
    Meta { event_id: Uuid::nil(), team: "T1".parse().unwrap(), actor, at: ts(at), key: None, method: None }
}

pub(super) fn person(user: &str, name: &str) -> Person {
    Person {
        user: user.parse().unwrap(),
        name: name.into(),
        real_name: name.into(),
        email: None,
        is_admin: false,
        is_owner: false,
        bot: None,
        deleted: false,
        tz: None,
        extra: None,
    }
}

pub(super) fn conversation(id: &str, kind: ConversationKind, name: Option<&str>, members: &[&str]) -> Event {
    ConversationCreated {
        meta: meta("UADA", 10),
        conversation: id.parse().unwrap(),
        kind,
        name: name.map(str::to_owned),
        creator: Some("UADA".parse().unwrap()),
        members: members.iter().map(|user| user.parse().unwrap()).collect(),
        created: ts(10),
        topic: "".into(),
        purpose: "".into(),
        is_general: false,
        is_archived: false,
        imported: false,
        extra: None,
    }
    .into()
}

/// Ada, Bob and Cy; the channel `C1` of Ada and Bob, their private channel `G1` and direct message `D1`, a group `G2`.
pub(super) fn team() -> Team {
    let created = TeamCreated {
        meta: meta("UADA", 1),
        domain: "acme".into(),
        name: "Acme".into(),
        shard: "s1".into(),
        owner: person("UADA", "ada"),
        channels: Vec::new(),
        token: None,
        credential_id: None,
    };
    let mut team = Team::begin(&Arc::new(created.into())).unwrap();
    for (user, name) in [("UBOB", "bob"), ("UCY", "cy")] {
        let person = person(user, name);
        let came = UserCreated { meta: meta("UADA", 2), person, token: None, credential_id: None };
        team.apply(&Arc::new(came.into()));
    }
    for event in [
        conversation("C1", ConversationKind::PublicChannel, Some("one"), &["UADA", "UBOB"]),
        conversation("G1", ConversationKind::PrivateChannel, Some("secret"), &["UADA", "UBOB"]),
        conversation("D1", ConversationKind::Im, None, &["UADA", "UBOB"]),
        conversation("G2", ConversationKind::Mpim, None, &["UADA", "UBOB", "UCY"]),
    ] {
        team.apply(&Arc::new(event));
    }
    team
}

pub(super) fn members(conversation: &str) -> Audience {
    Audience::Members(conversation.parse().unwrap())
}

pub(super) fn users(users: &[&str]) -> Audience {
    Audience::Users(users.iter().map(|user| user.parse().unwrap()).collect())
}

/// The frames of an event that has been applied.
pub(super) fn drawn(event: impl Into<Event>) -> Vec<(Audience, Value)> {
    let (mut team, event) = (team(), Arc::new(event.into()));
    team.apply(&event);
    let frames = frames(&event, &team).into_iter().map(|drawn| {
        assert!(!drawn.json.contains(&b'\n'), "a frame of several lines");
        (drawn.audience, serde_json::from_slice(&drawn.json).unwrap())
    });
    frames.collect()
}

#[track_caller]
fn check(event: impl Into<Event>, expected: Vec<(Audience, Value)>) {
    assert_eq!(drawn(event), expected);
}

pub(super) fn message(user: &str, at: i64, text: &str) -> Message {
    Message { ts: ts(at), user: Some(user.parse().unwrap()), text: text.into(), ..Message::default() }
}

pub(super) fn posted(conversation: &str, message: Message, thread: Option<Thread>) -> MessagePosted {
    let conversation = conversation.parse().unwrap();
    let meta = meta("UADA", message.ts.seconds());
    MessagePosted {
        meta,
        conversation,
        message,
        thread,
        mentions: Vec::new(),
        broadcast: None,
        opens_for: Vec::new(),
        unfurl: None,
        schedule: None,
    }
}

pub(super) fn thread(replies: i32) -> Thread {
    Thread {
        root: ts(20),
        root_author: Some("UBOB".parse().unwrap()),
        reply_count: replies,
        latest_reply: (replies > 0).then_some(ts(30)),
        reply_users: vec!["UADA".parse().unwrap()],
    }
}

#[test]
fn a_message_goes_to_the_members() {
    check(
        posted("C1", message("UADA", 20, "hi \"you\"\n"), None),
        vec![(
            members("C1"),
            json!({
                "type": "message", "ts": "0000000020.000000", "user": "UADA", "text": "hi \"you\"\n", "team": "T1",
                "channel": "C1", "event_ts": "0000000020.000000",
            }),
        )],
    );
}

#[test]
fn the_first_message_opens_the_direct_message_for_the_other() {
    let mut event = posted("D1", message("UADA", 20, "hi"), None);
    event.opens_for = vec!["UBOB".parse().unwrap()];
    let frames = drawn(event);
    let open = json!({ "type": "im_open", "user": "UADA", "channel": "D1", "event_ts": "0000000020.000000" });
    assert_eq!(frames[0], (users(&["UBOB"]), open));
    assert_eq!((&frames[1].0, &frames[1].1["text"]), (&members("D1"), &json!("hi")));
    assert_eq!(frames.len(), 2);
}

#[test]
fn a_reply_says_what_its_thread_has_become() {
    for broadcast in [false, true] {
        let reply = Message { thread_ts: Some(ts(20)), reply_broadcast: broadcast, ..message("UADA", 30, "well") };
        let frames = drawn(posted("C1", reply, Some(thread(1))));
        let root = json!({
            "type": "message", "user": "UBOB", "ts": "0000000020.000000", "thread_ts": "0000000020.000000",
            "reply_count": 1, "reply_users_count": 1, "latest_reply": "0000000030.000000", "reply_users": ["UADA"],
            "is_locked": false, "subscribed": false,
        });
        let first = &frames[0].1;
        assert_eq!((&first["thread_ts"], &first["parent_user_id"]), (&root["ts"], &root["user"]));
        if broadcast {
            assert_eq!((&first["subtype"], &first["root"]), (&json!("thread_broadcast"), &root));
        } else {
            assert_eq!((first.get("subtype"), first.get("root")), (None, None));
        }
        let mut with_reply = root;
        with_reply["replies"] = json!([{ "user": "UADA", "ts": "0000000030.000000" }]);
        let replied = json!({
            "type": "message", "subtype": "message_replied", "hidden": true, "channel": "C1",
            "ts": "0000000030.000000", "event_ts": "0000000030.000000", "thread_ts": "0000000020.000000",
            "message": with_reply,
        });
        assert_eq!(frames[1..], [(members("C1"), replied)]);
    }
}

#[test]
fn an_edit_carries_both_versions() {
    let before = message("UADA", 20, "teh");
    let edited = Some(Edited { user: "UADA".parse().unwrap(), ts: ts(40) });
    let after = Message { edited, ..message("UADA", 20, "the") };
    check(
        MessageEdited { meta: meta("UADA", 40), conversation: "C1".parse().unwrap(), before, after },
        vec![(
            members("C1"),
            json!({
                "type": "message", "subtype": "message_changed", "hidden": true, "channel": "C1",
                "ts": "0000000040.000000", "event_ts": "0000000040.000000",
                "message": {
                    "type": "message", "ts": "0000000020.000000", "user": "UADA", "text": "the",
                    "edited": { "user": "UADA", "ts": "0000000040.000000" }, "team": "T1",
                },
                "previous_message": {
                    "type": "message", "ts": "0000000020.000000", "user": "UADA", "text": "teh", "team": "T1",
                },
            }),
        )],
    );
}

#[test]
fn a_deleted_message_is_gone_or_a_tombstone() {
    let deleted = |tombstone, thread| MessageDeleted {
        meta: meta("UADA", 40),
        conversation: "C1".parse().unwrap(),
        before: message("UADA", 20, "oops"),
        tombstone,
        thread,
    };
    let frames = drawn(deleted(false, None));
    assert_eq!(
        frames,
        [(
            members("C1"),
            json!({
                "type": "message", "subtype": "message_deleted", "hidden": true, "channel": "C1",
                "ts": "0000000040.000000", "event_ts": "0000000040.000000", "deleted_ts": "0000000020.000000",
                "previous_message": {
                    "type": "message", "ts": "0000000020.000000", "user": "UADA", "text": "oops", "team": "T1",
                },
            })
        )]
    );
    let frames = drawn(deleted(true, None));
    let (changed, stone) = (&frames[0].1, &frames[0].1["message"]);
    assert_eq!((&changed["subtype"], &stone["subtype"]), (&json!("message_changed"), &json!("tombstone")));
    assert_eq!(stone["text"], "This message was deleted.");
    // The last reply of a thread.
    let frames = drawn(deleted(false, Some(thread(0))));
    assert_eq!(
        (&frames[1].1["subtype"], &frames[1].1["message"]["reply_count"]),
        (&json!("message_replied"), &json!(0))
    );
}

#[test]
fn a_reaction_names_what_it_is_on() {
    for (kind, added) in [("reaction_added", true), ("reaction_removed", false)] {
        let (meta, conversation, name) = (meta("UBOB", 40), "C1".parse().unwrap(), "tada".to_owned());
        let item_author = Some("UADA".parse().unwrap());
        let event: Event = if added {
            ReactionAdded { meta, conversation, ts: ts(20), name, item_author }.into()
        } else {
            ReactionRemoved { meta, conversation, ts: ts(20), name, item_author }.into()
        };
        check(
            event,
            vec![(
                members("C1"),
                json!({
                    "type": kind, "user": "UBOB", "reaction": "tada", "item_user": "UADA",
                    "item": { "type": "message", "channel": "C1", "ts": "0000000020.000000" },
                    "event_ts": "0000000040.000000",
                }),
            )],
        );
    }
}

#[test]
fn the_whole_team_hears_of_a_public_channel_and_its_members_of_a_private_one() {
    let frames = drawn(conversation("C2", ConversationKind::PublicChannel, Some("two"), &["UADA"]));
    let created = json!({
        "type": "channel_created",
        "channel": {
            "id": "C2", "name": "two", "name_normalized": "two", "is_channel": true, "created": 10, "creator": "UADA",
            "is_shared": false, "is_org_shared": false,
        },
        "event_ts": "0000000010.000000",
    });
    assert_eq!(frames[0], (Audience::Everyone, created));
    assert_eq!((&frames[1].0, &frames[1].1["type"]), (&users(&["UADA"]), &json!("channel_joined")));
    let joined = json!({
        "type": "member_joined_channel", "user": "UADA", "channel": "C2", "channel_type": "C", "team": "T1",
        "event_ts": "0000000010.000000",
    });
    assert_eq!(frames[2], (members("C2"), joined));
    assert_eq!(frames[3].1["subtype"], "channel_join");
    assert_eq!(frames.len(), 4);

    let frames = drawn(conversation("G3", ConversationKind::PrivateChannel, Some("three"), &["UADA", "UBOB"]));
    for (frame, user) in frames.iter().zip(["UADA", "UBOB"]) {
        assert_eq!((&frame.0, &frame.1["type"]), (&users(&[user]), &json!("group_joined")));
    }
    assert!(frames[2..].iter().all(|(audience, _)| *audience == members("G3")));
    assert_eq!((&frames[3].1["user"], &frames[3].1["inviter"]), (&json!("UBOB"), &json!("UADA")));
    assert_eq!(frames[4].1["subtype"], "group_join");
}

#[test]
fn who_has_left_a_private_channel_by_now_is_not_shown_what_it_became() {
    let conversation: ConversationId = "G1".parse().unwrap();
    let [bob, cy]: [UserId; 2] = ["UBOB", "UCY"].map(|user| user.parse().unwrap());
    let together = vec![Joined { user: bob, ts: ts(40) }, Joined { user: cy, ts: ts(41) }];
    let joined = MembersJoined { meta: meta("UADA", 40), conversation, inviter: None, joined: together };
    let mut team = team();
    let set = |topic: &str, at| TopicSet { meta: meta("UADA", at), conversation, topic: topic.into(), ts: ts(at) };
    let events: [Event; 4] = [
        MemberLeft { meta: meta("UBOB", 39), conversation, user: bob, kicked_by: None, ts: ts(39) }.into(),
        joined.clone().into(),
        MemberLeft { meta: meta("UADA", 50), conversation, user: cy, kicked_by: None, ts: ts(50) }.into(),
        set("later", 60).into(),
    ];
    events.into_iter().for_each(|event| team.apply(&Arc::new(event)));
    let frames = frames(&joined.into(), &team);
    let shown = |at: usize| serde_json::from_slice::<Value>(&frames[at].json).unwrap()["channel"].clone();
    let (to_bob, to_cy) = (shown(0), shown(1));
    assert_eq!((&to_bob["topic"]["value"], &to_bob["members"]), (&json!("later"), &json!(["UADA", "UBOB"])));
    assert_eq!((&to_cy["topic"]["value"], &to_cy["members"]), (&json!(""), &json!(["UBOB", "UCY"])));
    assert_eq!((&to_cy["id"], &to_cy["name"]), (&json!("G1"), &json!("G1")));
}

#[test]
fn a_direct_message_is_made_for_each_and_open_for_who_wanted_it() {
    let frames = drawn(conversation("D2", ConversationKind::Im, None, &["UADA", "UCY"]));
    for (number, (own, other)) in [("UADA", "UCY"), ("UCY", "UADA")].into_iter().enumerate() {
        let (audience, frame) = &frames[number];
        assert_eq!((audience, &frame["type"]), (&users(&[own]), &json!("im_created")));
        assert_eq!((&frame["user"], &frame["channel"]["user"]), (&json!(other), &json!(other)));
        assert_eq!(frame["channel"]["is_open"], own == "UADA");
    }
    let open = json!({ "type": "im_open", "user": "UCY", "channel": "D2", "event_ts": "0000000010.000000" });
    assert_eq!(frames[2..], [(users(&["UADA"]), open)]);

    let close = ConversationClosed { meta: meta("UADA", 40), conversation: "G2".parse().unwrap() };
    let closed = json!({ "type": "mpim_close", "user": "UADA", "channel": "G2", "event_ts": "0000000040.000000" });
    check(close, vec![(users(&["UADA"]), closed)]);
}

#[test]
fn who_joins_gets_the_channel_and_the_others_hear_of_it() {
    let joined = MembersJoined {
        meta: meta("UADA", 40),
        conversation: "C1".parse().unwrap(),
        inviter: Some("UADA".parse().unwrap()),
        joined: vec![Joined { user: "UCY".parse().unwrap(), ts: ts(40) }],
    };
    let frames = drawn(joined);
    let (audience, frame) = &frames[0];
    assert_eq!(
        (audience, &frame["type"], &frame["channel"]["id"]),
        (&users(&["UCY"]), &json!("channel_joined"), &json!("C1"))
    );
    assert_eq!(
        (&frame["channel"]["is_member"], &frame["channel"]["members"]),
        (&json!(true), &json!(["UADA", "UBOB", "UCY"]))
    );
    let member = json!({
        "type": "member_joined_channel", "user": "UCY", "channel": "C1", "channel_type": "C", "team": "T1",
        "event_ts": "0000000040.000000", "inviter": "UADA",
    });
    assert_eq!(frames[1], (members("C1"), member));
    let (audience, frame) = &frames[2];
    assert_eq!(audience, &members("C1"));
    assert_eq!(
        (&frame["subtype"], &frame["inviter"], &frame["user"]),
        (&json!("channel_join"), &json!("UADA"), &json!("UCY"))
    );
}

#[test]
fn who_is_removed_hears_of_it_with_the_others() {
    let left = |kicked_by: Option<&str>| MemberLeft {
        meta: meta("UADA", 40),
        conversation: "G1".parse().unwrap(),
        user: "UBOB".parse().unwrap(),
        kicked_by: kicked_by.map(|user| user.parse().unwrap()),
        ts: ts(40),
    };
    let frames = drawn(left(Some("UADA")));
    let gone = json!({ "type": "group_left", "channel": "G1", "actor_id": "UADA", "event_ts": "0000000040.000000" });
    assert_eq!(frames[0], (users(&["UBOB"]), gone));
    let member = json!({
        "type": "member_left_channel", "user": "UBOB", "channel": "G1", "channel_type": "G", "team": "T1",
        "event_ts": "0000000040.000000", "actor": "UADA",
    });
    assert_eq!(frames[1], (members("G1"), member));
    assert_eq!((&frames[2].0, &frames[2].1["subtype"]), (&members("G1"), &json!("group_leave")));
    assert_eq!(drawn(left(None))[0].1["actor_id"], "UBOB");
}

#[test]
fn a_rename_says_when_the_channel_was_made_a_number_or_a_text() {
    let renamed = |conversation: &str, old: &str| ConversationRenamed {
        meta: meta("UADA", 40),
        conversation: conversation.parse().unwrap(),
        old_name: old.into(),
        name: "new".into(),
        ts: ts(40),
    };
    let frames = drawn(renamed("C1", "one"));
    let channel = json!({ "id": "C1", "name": "new", "name_normalized": "new", "is_channel": true, "created": 10 });
    let frame = json!({ "type": "channel_rename", "channel": channel, "event_ts": "0000000040.000000" });
    assert_eq!(frames[0], (Audience::Everyone, frame));
    assert_eq!(
        (&frames[1].1["subtype"], &frames[1].1["old_name"], &frames[1].1["name"]),
        (&json!("channel_name"), &json!("one"), &json!("new"))
    );
    let frames = drawn(renamed("G1", "secret"));
    let channel = json!({ "id": "G1", "name": "new", "name_normalized": "new", "created": "10" });
    let frame = json!({ "type": "group_rename", "channel": channel, "event_ts": "0000000040.000000" });
    assert_eq!(frames[0], (members("G1"), frame));
    assert_eq!(frames[1].1["subtype"], "group_name");
}

#[test]
fn topics_purposes_and_the_archive_are_told_in_messages() {
    let (conversation, at) = ("C1".parse().unwrap(), ts(40));
    let frames = drawn(TopicSet { meta: meta("UADA", 40), conversation, topic: "engines".into(), ts: at });
    assert_eq!((&frames[0].1["subtype"], &frames[0].1["topic"]), (&json!("channel_topic"), &json!("engines")));
    let frames = drawn(PurposeSet { meta: meta("UADA", 40), conversation, purpose: "to work".into(), ts: at });
    assert_eq!((&frames[0].1["subtype"], &frames[0].1["purpose"]), (&json!("channel_purpose"), &json!("to work")));
    let frames = drawn(ConversationArchived { meta: meta("UADA", 40), conversation, ts: at });
    let archived =
        json!({ "type": "channel_archive", "channel": "C1", "user": "UADA", "event_ts": "0000000040.000000" });
    assert_eq!(frames[0], (Audience::Everyone, archived));
    assert_eq!(frames[1].1["subtype"], "channel_archive");
    let group = "G1".parse().unwrap();
    let frames = drawn(ConversationUnarchived { meta: meta("UADA", 40), conversation: group, ts: at });
    assert_eq!((&frames[0].0, &frames[0].1["type"]), (&members("G1"), &json!("group_unarchive")));
    assert_eq!(frames[1].1["subtype"], "group_unarchive");
}

#[test]
fn everybody_hears_of_who_comes() {
    let mut robo = person("UROBO", "robo");
    robo.bot = Some("BROBO".parse().unwrap());
    let frames = drawn(UserCreated { meta: meta("UADA", 40), person: robo, token: None, credential_id: None });
    let kinds: Vec<_> = frames.iter().map(|(audience, frame)| (audience, &frame["type"])).collect();
    assert_eq!(kinds, [(&Audience::Everyone, &json!("team_join")), (&Audience::Everyone, &json!("bot_added"))]);
    assert_eq!((&frames[0].1["user"]["id"], &frames[0].1["cache_ts"]), (&json!("UROBO"), &json!(40)));
    assert_eq!(frames[1].1["bot"]["id"], "BROBO");
}

#[test]
fn imports_and_secrets_are_told_to_nobody() {
    let imported = MessageImported {
        meta: meta("UADA", 40),
        conversation: "C1".parse().unwrap(),
        message: message("UADA", 5, "long ago"),
        reactions: Vec::new(),
    };
    check(imported, Vec::new());
    let Event::ConversationCreated(mut made) =
        conversation("C3", ConversationKind::PublicChannel, Some("old"), &["UADA"])
    else {
        panic!("a conversation")
    };
    made.imported = true;
    check(made, Vec::new());
    let token = Token { user: "UADA".parse().unwrap(), kind: TokenKind::User, hash: "00".repeat(32) };
    check(TokenIssued { meta: meta("UADA", 40), token }, Vec::new());
}
