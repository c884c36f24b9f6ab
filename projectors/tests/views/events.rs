//! A small team's life, with every event that a shard projects.

use std::sync::Arc;

use teamlog_schemas::*;
use uuid::Uuid;

pub(crate) const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

pub(crate) fn ts(micros: i64) -> Ts {
    Ts::from_micros(1_700_000_000_000_000 + micros)
}
pub(crate) fn team() -> TeamId {
    "T0ACME".parse().unwrap()
}
pub(crate) fn ada() -> UserId {
    "U0ADA".parse().unwrap()
}
pub(crate) fn bob() -> UserId {
    "U0BOB".parse().unwrap()
}
pub(crate) fn cy() -> UserId {
    "W0CY".parse().unwrap()
}
pub(crate) fn general() -> ConversationId {
    "C0GENERAL".parse().unwrap()
}
pub(crate) fn random() -> ConversationId {
    "C0RANDOM".parse().unwrap()
}
pub(crate) fn secret() -> ConversationId {
    "G0SECRET".parse().unwrap()
}
pub(crate) fn old() -> ConversationId {
    "C0OLD".parse().unwrap()
}
pub(crate) fn direct() -> ConversationId {
    "D0DIRECT".parse().unwrap()
}
pub(crate) fn credential(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn meta(actor: UserId, at: i64) -> Meta {
    let event_id = Uuid::from_u128(at.unsigned_abs().into());
    Meta { event_id, team: team(), actor: Some(actor), at: ts(at), key: None, method: None }
}

pub(crate) fn keyed(actor: UserId, at: i64, key: &str) -> Meta {
    Meta { key: Some(key.into()), method: Some("chat.postMessage".into()), ..meta(actor, at) }
}

pub(crate) fn person(user: UserId, name: &str) -> Person {
    Person {
        user,
        name: name.into(),
        real_name: format!("{name} Ünal 🦉").into(),
        email: Some(format!("{name}@acme.example").into()),
        is_admin: false,
        is_owner: false,
        bot: None,
        deleted: false,
        tz: Some("Europe/Berlin".into()),
        extra: Some(r#"{"color":"9f69e7"}"#.into()),
    }
}

pub(crate) fn created(shard: &str) -> Event {
    let first = |conversation, name: &str, is_general: bool| FirstChannel {
        conversation,
        name: name.into(),
        is_general,
        purpose: if is_general { "All" } else { "" }.into(),
    };
    TeamCreated {
        meta: meta(ada(), 1),
        domain: "acme".into(),
        name: "Acme".into(),
        shard: shard.into(),
        owner: person(ada(), "ada"),
        channels: vec![first(general(), "general", true), first(random(), "random", false)],
        token: Some(Token { user: ada(), kind: TokenKind::User, hash: HASH.into() }),
        credential_id: Some(credential(1)),
    }
    .into()
}

pub(crate) fn comes(user: UserId, name: &str, at: i64) -> Event {
    let token = Token { user, kind: TokenKind::Bot, hash: HASH.replace("ff", &format!("{at:02x}")) };
    UserCreated { meta: meta(ada(), at), person: person(user, name), token: Some(token), credential_id: None }.into()
}

pub(crate) fn joins(conversation: ConversationId, users: &[UserId], at: i64) -> Event {
    let joined = users.iter().zip(at..).map(|(user, at)| Joined { user: *user, ts: ts(at) }).collect();
    MembersJoined { meta: meta(ada(), at), conversation, inviter: Some(ada()), joined }.into()
}

pub(crate) fn begins(id: ConversationId, kind: ConversationKind, users: &[UserId], at: i64) -> ConversationCreated {
    ConversationCreated {
        meta: meta(users[0], at),
        conversation: id,
        kind,
        name: kind.is_channel().then(|| id.to_string().to_lowercase()),
        creator: Some(users[0]),
        members: users.to_vec(),
        created: ts(at),
        topic: "psst".into(),
        purpose: "".into(),
        is_general: false,
        is_archived: false,
        imported: false,
        extra: None,
    }
}

pub(crate) fn message(user: UserId, at: i64) -> Message {
    Message { ts: ts(at), user: Some(user), text: format!("at {at}").into(), ..Message::default() }
}

pub(crate) fn reply(user: UserId, at: i64, root: i64) -> Message {
    Message { thread_ts: Some(ts(root)), ..message(user, at) }
}

pub(crate) fn posts(conversation: ConversationId, message: Message) -> MessagePosted {
    MessagePosted {
        meta: Meta { at: message.ts, ..meta(message.user.unwrap(), message.ts.micros() - ts(0).micros()) },
        conversation,
        message,
        thread: None,
        mentions: vec![],
        broadcast: None,
        opens_for: vec![],
        unfurl: None,
        schedule: None,
    }
}

pub(crate) fn thread(root: i64, replies: &[(i64, UserId)]) -> Thread {
    let mut reply_users = Vec::new();
    for (_, user) in replies {
        if !reply_users.contains(user) {
            reply_users.push(*user);
        }
    }
    Thread {
        root: ts(root),
        root_author: Some(ada()),
        reply_count: replies.len() as i32,
        latest_reply: replies.last().map(|(at, _)| ts(*at)),
        reply_users,
    }
}

pub(crate) fn deletes(before: Message, tombstone: bool, thread: Option<Thread>, at: i64) -> Event {
    MessageDeleted { meta: meta(ada(), at), conversation: general(), before, tombstone, thread }.into()
}

pub(crate) fn reacts(user: UserId, of: i64, name: &str, at: i64) -> Event {
    let (conversation, item_author) = (general(), Some(ada()));
    ReactionAdded { meta: meta(user, at), conversation, ts: ts(of), name: name.into(), item_author }.into()
}

pub(crate) fn unreacts(user: UserId, of: i64, name: &str, at: i64) -> Event {
    let (conversation, item_author) = (general(), Some(ada()));
    ReactionRemoved { meta: meta(user, at), conversation, ts: ts(of), name: name.into(), item_author }.into()
}

pub(crate) fn schedule(number: u64) -> ScheduleId {
    format!("Q{number}").parse().unwrap()
}

pub(crate) fn schedules(by: UserId, number: u64, due: i64, at: i64) -> Event {
    let (conversation, schedule, message) = (general(), schedule(number), message(by, due));
    MessageScheduled { meta: meta(by, at), conversation, schedule, due: ts(due), message, unfurl: None }.into()
}

pub(crate) fn unschedules(number: u64, at: i64) -> Event {
    let (conversation, schedule, failed) = (general(), schedule(number), Some("is_archived".to_owned()));
    ScheduledMessageDeleted { meta: meta(ada(), at), conversation, schedule, failed }.into()
}

/// Bob pins the first message of the direct message.
pub(crate) fn pins(at: i64) -> Event {
    let (conversation, message) = (direct(), message(ada(), 33));
    MessagePinned { meta: meta(bob(), at), conversation, message, pin_count: 1, ts: ts(at) }.into()
}

pub(crate) fn unpins(pinned: i64, at: i64) -> Event {
    let (conversation, message, pinned_by, pinned_at) = (direct(), message(ada(), 33), bob(), ts(pinned));
    MessageUnpinned { meta: meta(ada(), at), conversation, message, pinned_by, pinned_at, pin_count: 0 }.into()
}

pub(crate) fn imports(at: i64, root: Option<i64>, reactions: Vec<Reaction>) -> Event {
    let message = Message { thread_ts: root.map(ts), extra: Some("{\"x\":1}".into()), ..message(bob(), at) };
    MessageImported { meta: meta(ada(), 70), conversation: old(), message, reactions }.into()
}

pub(crate) fn marks(user: UserId, conversation: ConversationId, at: i64) -> Event {
    ReadMarked { meta: meta(user, at), conversation, ts: ts(at) }.into()
}

pub(crate) fn stored(number: u128, sealed: &str) -> Event {
    let (credential_id, sealed) = (credential(number), sealed.to_owned());
    CredentialStored { meta: meta(ada(), 1), credential_id, user: ada(), sealed }.into()
}

/// The whole life, on the shard of this name.
pub(crate) fn life(shard: &str) -> Vec<Arc<Event>> {
    let (g, r) = (general(), random());
    let edited =
        Message { text: "edited 'é'".into(), edited: Some(Edited { user: bob(), ts: ts(30) }), ..message(bob(), 11) };
    let renamed = |old_name: &str, name: &str, at| -> Event {
        let (old_name, name) = (old_name.into(), name.into());
        ConversationRenamed { meta: meta(ada(), at), conversation: r, old_name, name, ts: ts(at) }.into()
    };
    let imported = ConversationCreated {
        imported: true,
        is_archived: true,
        extra: Some("{\"pins\":[]}".into()),
        ..begins(old(), ConversationKind::PublicChannel, &[bob(), cy()], -900)
    };
    let events = vec![
        created(shard),
        comes(bob(), "bob", 2),
        comes(cy(), "cy", 3),
        joins(g, &[bob(), cy()], 4),
        BotAdded { meta: meta(ada(), 6), bot: "B0HOOK".parse().unwrap(), name: "hook".into(), extra: None }.into(),
        MessagePosted { meta: keyed(ada(), 10, "k1"), mentions: vec![bob(), cy()], ..posts(g, message(ada(), 10)) }
            .into(),
        posts(g, message(bob(), 11)).into(),
        MessagePosted { thread: Some(thread(10, &[(12, bob())])), ..posts(g, reply(bob(), 12, 10)) }.into(),
        MessagePosted {
            thread: Some(thread(10, &[(12, bob()), (13, cy())])),
            broadcast: Some(Broadcast::Here),
            ..posts(g, Message { reply_broadcast: true, ..reply(cy(), 13, 10) })
        }
        .into(),
        reacts(bob(), 10, "tada", 14),
        reacts(cy(), 10, "wave", 15),
        reacts(cy(), 10, "tada", 16),
        unreacts(bob(), 10, "tada", 17),
        unreacts(cy(), 10, "wave", 18),
        reacts(bob(), 10, "wave", 19),
        MessageEdited { meta: meta(bob(), 30), conversation: g, before: message(bob(), 11), after: edited }.into(),
        begins(secret(), ConversationKind::PrivateChannel, &[bob()], 31).into(),
        begins(direct(), ConversationKind::Im, &[ada(), bob()], 32).into(),
        MessagePosted { opens_for: vec![bob()], ..posts(direct(), message(ada(), 33)) }.into(),
        ConversationClosed { meta: meta(ada(), 34), conversation: direct() }.into(),
        TopicSet { meta: meta(bob(), 35), conversation: g, topic: "now".into(), ts: ts(35) }.into(),
        PurposeSet { meta: meta(bob(), 36), conversation: g, purpose: "".into(), ts: ts(36) }.into(),
        renamed("random", "chance", 37),
        renamed("chance", "luck", 38),
        MemberLeft { meta: meta(ada(), 39), conversation: g, user: cy(), kicked_by: Some(ada()), ts: ts(39) }.into(),
        ConversationArchived { meta: meta(ada(), 40), conversation: r, ts: ts(40) }.into(),
        posts(g, message(ada(), 41)).into(),
        MessagePosted { thread: Some(thread(41, &[(42, bob())])), ..posts(g, reply(bob(), 42, 41)) }.into(),
        deletes(message(ada(), 41), true, None, 43),
        deletes(reply(bob(), 12, 10), false, Some(thread(10, &[(13, cy())])), 44),
        posts(g, message(cy(), 45)).into(),
        deletes(message(cy(), 45), false, None, 46),
        imported.into(),
        imports(-800, None, vec![Reaction { name: "+1".into(), users: vec![bob(), ada()] }]),
        imports(-700, Some(-800), vec![]),
        imports(-600, Some(-800), vec![]),
        TokenRevoked { meta: meta(ada(), 71), user: bob(), hash: HASH.replace("ff", "02") }.into(),
        PasswordSet { meta: meta(ada(), 72), user: ada(), credential_id: credential(2) }.into(),
        ConversationUnarchived { meta: meta(ada(), 73), conversation: r, ts: ts(73) }.into(),
        TokenIssued {
            meta: meta(ada(), 74),
            token: Token { user: ada(), kind: TokenKind::User, hash: HASH.replace("ff", "4a") },
        }
        .into(),
        ConversationOpened { meta: meta(ada(), 75), conversation: direct() }.into(),
        schedules(bob(), 1, 400, 76),
        schedules(bob(), 2, 500, 76),
        schedules(cy(), 3, 600, 76),
        MessagePosted { schedule: Some(schedule(1)), ..posts(direct(), message(bob(), 77)) }.into(),
        unschedules(3, 77),
        pins(76),
        unpins(76, 77),
        pins(78),
        posts(g, message(bob(), 80)).into(),
        posts(g, message(bob(), 81)).into(),
    ];
    events.into_iter().map(Arc::new).collect()
}
