//! Events by short names, in a team of Ada (the owner), Bob and Cy with the channels general and random.

use std::sync::Arc;

use teamlog_schemas::*;
use teamlog_state::Team;
use uuid::Uuid;

pub(crate) const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

pub(crate) fn ts(micros: i64) -> Ts {
    Ts::from_micros(micros)
}
pub(crate) fn ada() -> UserId {
    "U0ADA".parse().unwrap()
}
pub(crate) fn bob() -> UserId {
    "U0BOB".parse().unwrap()
}
pub(crate) fn cy() -> UserId {
    "U0CY".parse().unwrap()
}
pub(crate) fn general() -> ConversationId {
    "C0GENERAL".parse().unwrap()
}
pub(crate) fn random() -> ConversationId {
    "C0RANDOM".parse().unwrap()
}
pub(crate) fn direct() -> ConversationId {
    "D0DIRECT".parse().unwrap()
}

pub(crate) fn meta(actor: UserId, at: i64) -> Meta {
    let event_id = Uuid::from_u128(at as u128);
    Meta { event_id, team: "T0ACME".parse().unwrap(), actor: Some(actor), at: ts(at), key: None, method: None }
}

pub(crate) fn person(user: UserId, name: &str) -> Person {
    Person {
        user,
        name: name.into(),
        real_name: name.into(),
        email: Some(format!("{name}@Acme.example").into()),
        is_admin: false,
        is_owner: false,
        bot: None,
        deleted: false,
        tz: None,
        extra: None,
    }
}

pub(crate) fn token(user: UserId) -> Token {
    Token { user, kind: TokenKind::User, hash: HASH.into() }
}

fn first(conversation: ConversationId, name: &str, is_general: bool) -> FirstChannel {
    FirstChannel { conversation, name: name.into(), is_general, purpose: if is_general { "All" } else { "" }.into() }
}

pub(crate) fn created() -> Event {
    TeamCreated {
        meta: meta(ada(), 1),
        domain: "acme".into(),
        name: "Acme".into(),
        shard: "s1".into(),
        owner: person(ada(), "ada"),
        channels: vec![first(general(), "general", true), first(random(), "random", false)],
        token: Some(token(ada())),
        credential_id: None,
    }
    .into()
}

pub(crate) fn comes(user: UserId, name: &str, at: i64) -> Event {
    UserCreated { meta: meta(ada(), at), person: person(user, name), token: None, credential_id: None }.into()
}

pub(crate) fn joins(conversation: ConversationId, users: &[UserId], at: i64) -> Event {
    let joined = users.iter().zip(at..).map(|(user, at)| Joined { user: *user, ts: ts(at) }).collect();
    MembersJoined { meta: meta(ada(), at), conversation, inviter: Some(ada()), joined }.into()
}

pub(crate) fn leaves(conversation: ConversationId, user: UserId, at: i64) -> Event {
    MemberLeft { meta: meta(user, at), conversation, user, kicked_by: None, ts: ts(at) }.into()
}

/// A conversation of these people, made by the first.
pub(crate) fn begins(id: ConversationId, kind: ConversationKind, users: &[UserId], at: i64) -> ConversationCreated {
    ConversationCreated {
        meta: meta(users[0], at),
        conversation: id,
        kind,
        name: kind.is_channel().then(|| id.to_string().to_lowercase()),
        creator: Some(users[0]),
        members: users.to_vec(),
        created: ts(at),
        topic: "".into(),
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
        meta: meta(message.user.unwrap(), message.ts.micros()),
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

pub(crate) fn imports(conversation: ConversationId, message: Message) -> MessageImported {
    MessageImported { meta: meta(ada(), 900), conversation, message, reactions: vec![] }
}

/// Ada, Bob and Cy; Ada in general and random, Bob in general.
pub(crate) fn team() -> Team {
    let mut team = Team::begin(&Arc::new(created())).unwrap();
    fold(&mut team, [comes(bob(), "bob", 2), comes(cy(), "cy", 3), joins(general(), &[bob()], 4)]);
    team
}

pub(crate) fn fold(team: &mut Team, events: impl IntoIterator<Item = Event>) {
    for event in events {
        team.apply(&Arc::new(event));
    }
}

/// Everything that a team's rows say, for comparisons.
pub(crate) fn rows(team: &Team) -> String {
    format!("{:#?}", team.to_rows())
}
