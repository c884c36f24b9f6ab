//! Rendered objects have the keys and types that strict clients demand.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::{Value, json};
use teamlog_gateway::render;
use teamlog_schemas::{
    ConversationCreated, ConversationId, ConversationKind, Edited, Event, FirstChannel, Joined, MemberLeft,
    MembersJoined, Message, Meta, Person, Reaction, TeamCreated, Thread, TopicSet, Ts, UserCreated, UserId,
};
use teamlog_state::{MessageFact, Team};
use uuid::Uuid;

const DAY: i64 = 1_444_959_632_000_000;

fn ts(micros: i64) -> Ts {
    Ts::from_micros(DAY + micros)
}

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

fn place(id: &str) -> ConversationId {
    id.parse().unwrap()
}

fn meta(actor: &str) -> Meta {
    let team = "T0TEAM0001".parse().unwrap();
    Meta { event_id: Uuid::nil(), team, actor: Some(user(actor)), at: ts(0), key: None, method: None }
}

fn person(id: &str, name: &str) -> Person {
    Person {
        user: user(id),
        name: name.into(),
        real_name: "".into(),
        email: Some(format!("{name}@example.com").into()),
        is_admin: false,
        is_owner: false,
        bot: None,
        deleted: false,
        tz: None,
        extra: None,
    }
}

fn came(person: Person) -> Event {
    UserCreated { meta: meta("U0ADA00001"), person, token: None, credential_id: None }.into()
}

fn begun(id: &str, kind: ConversationKind, name: Option<&str>, members: &[&str]) -> Event {
    ConversationCreated {
        meta: meta(members[0]),
        conversation: place(id),
        kind,
        name: name.map(str::to_owned),
        creator: Some(user(members[0])),
        members: members.iter().map(|id| user(id)).collect(),
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

/// Ada, who made the team, Bob, and a bot; a channel of each kind.
fn team() -> Team {
    let mut owner = person("U0ADA00001", "ada");
    owner.is_admin = true;
    owner.is_owner = true;
    owner.real_name = "Ada Lovelace".into();
    owner.tz = Some("Europe/London".to_owned());
    let general = FirstChannel {
        conversation: place("C0GENERAL1"),
        name: "general".to_owned(),
        is_general: true,
        purpose: "for everybody".into(),
    };
    let created = TeamCreated {
        meta: meta("U0ADA00001"),
        domain: "lovelace".to_owned(),
        name: "Lovelace & Co".to_owned(),
        shard: "s1".to_owned(),
        owner,
        channels: vec![general],
        token: None,
        credential_id: None,
    };
    let mut robo = person("U0ROBO0001", "robo");
    robo.bot = Some("B0ROBO0001".parse().unwrap());
    let joined = vec![Joined { user: user("U0B0B00001"), ts: ts(5) }];
    let join = MembersJoined { meta: meta("U0B0B00001"), conversation: place("C0GENERAL1"), inviter: None, joined };
    let topic =
        TopicSet { meta: meta("U0B0B00001"), conversation: place("C0GENERAL1"), topic: "engines".into(), ts: ts(6) };
    let mut team = Team::begin(&Arc::new(created.into())).unwrap();
    for event in [
        came(person("U0B0B00001", "bob")),
        came(robo),
        join.into(),
        topic.into(),
        begun("C0SECRET01", ConversationKind::PrivateChannel, Some("secret"), &["U0ADA00001"]),
        begun("G0GROUP001", ConversationKind::Mpim, None, &["U0ADA00001", "U0B0B00001", "U0ROBO0001"]),
        begun("D0DIRECT01", ConversationKind::Im, None, &["U0ADA00001", "U0B0B00001"]),
    ] {
        team.apply(&Arc::new(event));
    }
    team
}

/// Every key is there with a value of the type whose example stands beside it.
#[track_caller]
fn check_types(found: &Value, wanted: &Value) {
    for (key, example) in wanted.as_object().unwrap() {
        let value = found.get(key).unwrap_or_else(|| panic!("no {key} in {found}"));
        let same = match example {
            Value::Number(_) => value.is_i64() || value.is_u64(),
            Value::String(_) => value.is_string(),
            Value::Bool(_) => value.is_boolean(),
            Value::Array(_) => value.is_array(),
            Value::Object(_) => value.is_object(),
            Value::Null => value.is_null(),
        };
        assert!(same, "{key} is {value}, not like {example}");
        if example.is_object() {
            check_types(value, example);
        }
    }
}

fn seen(team: &Team, id: &str, viewer: &str) -> Value {
    render::conversation(team, team.conversation(place(id)).unwrap(), user(viewer), None)
}

#[test]
fn a_channel_has_every_key_that_strict_clients_demand() {
    let team = team();
    let headline = json!({"value": "", "creator": "", "last_set": 0});
    let wanted = json!({
        "id": "", "name": "", "name_normalized": "", "created": 0, "creator": "", "is_archived": false,
        "is_channel": false, "is_general": false, "is_group": false, "is_im": false, "is_mpim": false,
        "is_private": false, "is_shared": false, "is_org_shared": false, "is_ext_shared": false,
        "is_pending_ext_shared": false, "is_member": false, "is_moved": 0, "is_read_only": false, "unlinked": 0,
        "pending_shared": [], "previous_names": [], "shared_team_ids": [], "priority": 0, "num_members": 0,
        "topic": headline, "purpose": headline, "updated": 0, "context_team_id": "",
    });
    for id in ["C0GENERAL1", "C0SECRET01", "G0GROUP001"] {
        check_types(&seen(&team, id, "U0ADA00001"), &wanted);
    }
    let general = seen(&team, "C0GENERAL1", "U0B0B00001");
    assert_eq!(general["topic"], json!({"value": "engines", "creator": "U0B0B00001", "last_set": ts(6).seconds()}));
    assert_eq!(
        (&general["is_general"], &general["is_member"], &general["num_members"]),
        (&json!(true), &json!(true), &json!(2))
    );
    assert_eq!(seen(&team, "C0GENERAL1", "U0ROBO0001")["is_member"], false);
    assert_eq!(seen(&team, "C0SECRET01", "U0ADA00001")["is_private"], true);
    let group = seen(&team, "G0GROUP001", "U0ADA00001");
    assert_eq!(group["name"], "mpdm-ada--bob--robo-1");
    assert_eq!((&group["is_mpim"], &group["is_channel"]), (&json!(true), &json!(false)));
}

#[test]
fn a_direct_message_names_the_other_one() {
    let team = team();
    let wanted = json!({"id": "", "created": 0, "is_im": true, "is_org_shared": false, "user": "", "is_user_deleted": false, "is_open": true});
    let (ada, bob) = (seen(&team, "D0DIRECT01", "U0ADA00001"), seen(&team, "D0DIRECT01", "U0B0B00001"));
    check_types(&ada, &wanted);
    assert_eq!((&ada["user"], &bob["user"]), (&json!("U0B0B00001"), &json!("U0ADA00001")));
    // It is closed for the other one until the first message.
    assert_eq!((&ada["is_open"], &bob["is_open"]), (&json!(true), &json!(false)));
}

#[test]
fn what_is_read_stands_in_the_readers_own_view() {
    let team = team();
    let general = team.conversation(place("C0GENERAL1")).unwrap();
    let reader = render::Reader { last_read: ts(7), unread: Some(3), latest: Some(Value::Null) };
    let rendered = render::legacy_conversation(&team, general, user("U0ADA00001"), Some(&reader), 1);
    assert_eq!(rendered["last_read"], ts(7).to_string());
    assert_eq!((&rendered["unread_count"], &rendered["unread_count_display"]), (&json!(3), &json!(3)));
    assert_eq!(rendered["latest"], Value::Null);
    assert_eq!(rendered["members"], json!(["U0ADA00001"]), "at most so many");
    assert!(seen(&team, "C0GENERAL1", "U0ADA00001").get("last_read").is_none());
}

#[test]
fn a_user_has_every_key_that_clients_demand() {
    let team = team();
    let wanted = json!({
        "id": "", "team_id": "", "name": "", "deleted": false, "color": "", "real_name": "", "tz": "", "tz_label": "",
        "tz_offset": 0, "is_admin": false, "is_owner": false, "is_primary_owner": false, "is_restricted": false,
        "is_ultra_restricted": false, "is_bot": false, "updated": 0,
        "profile": {
            "real_name": "", "real_name_normalized": "", "display_name": "", "display_name_normalized": "",
            "avatar_hash": "", "status_text": "", "status_emoji": "", "first_name": "", "last_name": "",
            "email": "", "image_24": "", "image_72": "", "image_512": "", "team": "",
        },
    });
    for member in team.people() {
        check_types(&render::user(&team, member), &wanted);
    }
    let ada = render::user(&team, team.person(user("U0ADA00001")).unwrap());
    assert_eq!((&ada["real_name"], &ada["profile"]["last_name"]), (&json!("Ada Lovelace"), &json!("Lovelace")));
    assert_eq!(ada["tz"], "Europe/London");
    let robo = team.person(user("U0ROBO0001")).unwrap();
    assert_eq!(render::user(&team, robo)["profile"]["bot_id"], "B0ROBO0001");
    check_types(
        &render::user_bot(&team, robo).unwrap(),
        &json!({"id": "", "deleted": false, "name": "", "updated": 0, "app_id": "", "icons": {"image_36": "", "image_48": "", "image_72": ""}, "team_id": ""}),
    );
    let bots: Vec<_> = team.people().map(|member| render::bot_id_of(&member.person).unwrap().to_string()).collect();
    assert_eq!(bots, ["B0ADA00001", "B0B0B00001", "B0ROBO0001"]);
}

#[test]
fn the_team_and_oneself_carry_their_preferences() {
    let team = team();
    let rendered = render::team(&team);
    check_types(
        &rendered,
        &json!({"id": "", "name": "", "domain": "", "email_domain": "", "icon": {"image_34": "", "image_default": true}, "msg_edit_window_mins": 0, "plan": "", "over_storage_limit": false}),
    );
    assert_eq!(render::team_prefs(&team)["default_channels"], json!(["C0GENERAL1"]));
    let own = render::own_self(team.person(user("U0ADA00001")).unwrap());
    check_types(
        &own,
        &json!({"id": "", "name": "", "created": 0, "manual_presence": "", "prefs": {"tz": "", "highlight_words": "", "muted_channels": "", "emoji_mode": "", "time24": false}}),
    );
}

fn text_message(micros: i64, text: &str) -> Message {
    Message { ts: ts(micros), user: Some(user("U0ADA00001")), text: text.into(), ..Message::default() }
}

fn fact(message: Message) -> MessageFact {
    MessageFact { message, reactions: Vec::new(), thread: None, tombstone: false }
}

#[test]
fn a_message_is_what_was_said() {
    let team = team();
    let mut message = text_message(1, "hello <@U0B0B00001>");
    message.client_msg_id = Some("11111111-1111-4111-8111-111111111111".to_owned());
    message.blocks = Some(r#"[{"type":"divider"}]"#.into());
    message.attachments = Some(r#"[{"fallback":"a"},{"fallback":"b","id":9}]"#.into());
    message.edited = Some(Edited { user: user("U0ADA00001"), ts: ts(2) });
    message.extra = Some(r#"{"upload":false,"files":[],"text":"not this"}"#.into());
    let (conversation, rendered) = (place("C0GENERAL1"), render::message(&team, place("C0GENERAL1"), &message));
    let written = render::Rendered { team: &team, conversation, message: &message };
    assert_eq!(serde_json::to_string(&written).unwrap(), rendered.to_string(), "each key once");
    assert_eq!(
        rendered,
        json!({
            "type": "message",
            "ts": "1444959632.000001",
            "user": "U0ADA00001",
            "text": "hello <@U0B0B00001>",
            "client_msg_id": "11111111-1111-4111-8111-111111111111",
            "blocks": [{"type": "divider"}],
            "attachments": [{"fallback": "a", "id": 1}, {"fallback": "b", "id": 9}],
            "edited": {"user": "U0ADA00001", "ts": "1444959632.000002"},
            "upload": false,
            "files": [],
            "team": "T0TEAM0001",
        })
    );
}

#[test]
fn a_thread_stands_on_its_root_and_its_replies_name_it() {
    let team = team();
    let mut root = fact(text_message(1, "root"));
    root.reactions = vec![Reaction { name: "tada".to_owned(), users: vec![user("U0B0B00001")] }];
    root.thread = Some(Thread {
        root: ts(1),
        root_author: Some(user("U0ADA00001")),
        reply_count: 2,
        latest_reply: Some(ts(3)),
        reply_users: vec![user("U0B0B00001")],
    });
    let rendered = render::message_fact(&team, place("C0GENERAL1"), &root);
    assert_eq!(rendered["reactions"], json!([{"name": "tada", "users": ["U0B0B00001"], "count": 1}]));
    check_types(
        &rendered,
        &json!({"thread_ts": "", "reply_count": 0, "reply_users_count": 0, "reply_users": [], "latest_reply": "", "subscribed": false}),
    );
    let mut reply = text_message(3, "reply");
    reply.thread_ts = Some(ts(1));
    reply.reply_broadcast = true;
    let rendered = render::reply(&team, place("C0GENERAL1"), &fact(reply), Some(user("U0ADA00001")));
    assert_eq!(rendered["subtype"], "thread_broadcast");
    assert_eq!(
        (&rendered["thread_ts"], &rendered["parent_user_id"]),
        (&json!("1444959632.000001"), &json!("U0ADA00001"))
    );
    root.tombstone = true;
    let rendered = render::message_fact(&team, place("C0GENERAL1"), &root);
    assert_eq!((&rendered["subtype"], &rendered["text"]), (&json!("tombstone"), &json!(render::TOMBSTONE_TEXT)));
    assert_eq!((&rendered["reply_count"], rendered.get("reactions")), (&json!(2), None));
}

#[test]
fn comings_and_goings_are_called_after_the_kind_of_the_channel() {
    let team = team();
    let left = |id: &str| {
        let left = MemberLeft {
            meta: meta("U0B0B00001"),
            conversation: place(id),
            user: user("U0B0B00001"),
            kicked_by: None,
            ts: ts(9),
        };
        let (conversation, message) = Event::from(left).messages().remove(0);
        render::message(&team, conversation, &message)["subtype"].clone()
    };
    assert_eq!((left("C0GENERAL1"), left("C0SECRET01")), (json!("channel_leave"), json!("group_leave")));
    let joined = MembersJoined {
        meta: meta("U0ADA00001"),
        conversation: place("C0GENERAL1"),
        inviter: Some(user("U0ADA00001")),
        joined: vec![Joined { user: user("U0B0B00001"), ts: ts(9) }],
    };
    let (conversation, message) = Event::from(joined).messages().remove(0);
    let rendered = render::message(&team, conversation, &message);
    assert_eq!((&rendered["subtype"], &rendered["inviter"]), (&json!("channel_join"), &json!("U0ADA00001")));
}
