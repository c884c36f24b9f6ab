//! All that can be asked and said goes over the wire and comes as it was.
//!
//! Each `after` gives one of every kind, one after the other: a kind that is new has no place in its `match`, which does not
//! compile until it is given one.

use std::iter::successors;

use serde::de::DeserializeOwned;
use teamlog_log::Offset;
use teamlog_schemas::{
    ConversationId, ConversationKind, Edited, FirstChannel, Message, Meta, Person, Reaction, TeamId, TeamRegistered,
    Token, TokenKind, TokenRevoked, Ts, UserId,
};
use uuid::Uuid;

use super::*;
use crate::{
    Command, DirectoryRequest, Edit, ImportedConversation, ImportedMessage, NewConversation, NewPerson, NewTeam, Post,
    Request,
};

fn team() -> TeamId {
    "T1".parse().unwrap()
}

fn user() -> UserId {
    "U1".parse().unwrap()
}

fn conversation() -> ConversationId {
    "C1".parse().unwrap()
}

fn ts() -> Ts {
    Ts::from_micros(1_700_000_000_123_456)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn meta() -> Meta {
    let key = some("key \"with quotes\"");
    Meta { event_id: Uuid::from_u128(3), team: team(), actor: Some(user()), at: ts(), key, method: some("method") }
}

fn registered() -> TeamRegistered {
    let owner = Person {
        user: user(),
        name: "ada".into(),
        real_name: "Ada \u{1f600}".into(),
        email: Some("ada@example.com".into()),
        is_admin: true,
        is_owner: true,
        bot: Some("B1".parse().unwrap()),
        deleted: true,
        tz: some("Europe/London"),
        extra: Some("{}".into()),
    };
    let general = FirstChannel {
        conversation: conversation(),
        name: "general".to_owned(),
        is_general: true,
        purpose: "all".into(),
    };
    TeamRegistered {
        meta: meta(),
        domain: "acme".to_owned(),
        name: "Acme".to_owned(),
        partition: 3,
        shard: "s1".to_owned(),
        owner,
        channels: vec![general],
        token: Some(Token { user: user(), kind: TokenKind::Bot, hash: "ab".to_owned() }),
        credential_id: Some(Uuid::from_u128(4)),
    }
}

fn person() -> NewPerson {
    NewPerson {
        user: Some(user()),
        name: "ada".to_owned(),
        real_name: "Ada".to_owned(),
        email: some("ada@example.com"),
        is_bot: true,
        bot: Some("B1".parse().unwrap()),
        is_admin: true,
        deleted: true,
        tz: some("Europe/London"),
        extra: some("{}"),
        credential_id: Some(Uuid::from_u128(4)),
        with_token: true,
    }
}

fn new_conversation() -> NewConversation {
    let imported = ImportedConversation {
        creator: Some(user()),
        created: ts(),
        topic: "topic".to_owned(),
        purpose: "purpose".to_owned(),
        is_general: true,
        is_archived: true,
        extra: some("{}"),
    };
    NewConversation {
        conversation: Some(conversation()),
        kind: ConversationKind::PrivateChannel,
        name: some("plans"),
        members: vec![user()],
        imported: Some(imported),
    }
}

fn message_post() -> Post {
    Post {
        conversation: Some(conversation()),
        text: "line\nand \u{0} \u{1f600}".to_owned(),
        blocks: some("[]"),
        attachments: some("[{}]"),
        thread_ts: Some(ts()),
        reply_broadcast: true,
        subtype: Some("me_message".into()),
        username: some("robot"),
        icons: some("{}"),
        client_msg_id: some("c1"),
    }
}

fn message() -> Message {
    Message {
        ts: ts(),
        user: Some(user()),
        bot: Some("B1".parse().unwrap()),
        subtype: some("bot_message"),
        text: "text".into(),
        blocks: Some("[]".into()),
        attachments: Some("[]".into()),
        thread_ts: Some(ts()),
        reply_broadcast: true,
        edited: Some(Edited { user: user(), ts: ts() }),
        username: Some("robot".into()),
        icons: Some("{}".into()),
        client_msg_id: some("c1"),
        extra: Some("{}".into()),
    }
}

fn after_command(command: &Command) -> Option<Command> {
    let (conversation, ts, user) = (conversation(), ts(), user());
    Some(match command {
        Command::BeginTeam(_) => Command::CreateUser(Box::new(person())),
        Command::CreateUser(_) => {
            Command::AddBot { bot: "B1".parse().unwrap(), name: "robot".to_owned(), extra: some("{}") }
        }
        Command::AddBot { .. } => Command::IssueToken { user },
        Command::IssueToken { .. } => Command::RevokeToken { hash: "ab".to_owned() },
        Command::RevokeToken { .. } => Command::SetPassword { user, credential_id: Uuid::from_u128(4) },
        Command::SetPassword { .. } => Command::CreateConversation(Box::new(new_conversation())),
        Command::CreateConversation(_) => Command::OpenDirect { users: vec![user, user] },
        Command::OpenDirect { .. } => Command::OpenConversation { conversation },
        Command::OpenConversation { .. } => Command::CloseDirect { conversation },
        Command::CloseDirect { .. } => Command::Join { conversation },
        Command::Join { .. } => Command::Invite { conversation, users: vec![user] },
        Command::Invite { .. } => Command::Leave { conversation },
        Command::Leave { .. } => Command::Kick { conversation, user },
        Command::Kick { .. } => Command::Rename { conversation, name: "name".to_owned() },
        Command::Rename { .. } => Command::SetTopic { conversation, topic: "topic".to_owned() },
        Command::SetTopic { .. } => Command::SetPurpose { conversation, purpose: "purpose".to_owned() },
        Command::SetPurpose { .. } => Command::Archive { conversation },
        Command::Archive { .. } => Command::Unarchive { conversation },
        Command::Unarchive { .. } => Command::Post(Box::new(message_post())),
        Command::Post(_) => {
            let reactions = vec![Reaction { name: "tada".to_owned(), users: vec![user] }];
            Command::ImportMessage(Box::new(ImportedMessage { conversation, message: message(), reactions }))
        }
        Command::ImportMessage(_) => Command::Edit(Box::new(Edit {
            conversation,
            ts,
            text: some("text"),
            blocks: some("[]"),
            attachments: some("[]"),
            expected_edited_ts: Some(Ts::ZERO),
        })),
        Command::Edit(_) => Command::Delete { conversation, ts },
        Command::Delete { .. } => Command::React { conversation, ts, name: "tada".to_owned() },
        Command::React { .. } => Command::Unreact { conversation, ts, name: "tada".to_owned() },
        Command::Unreact { .. } => return None,
    })
}

fn after_directory_request(request: &DirectoryRequest, deadline: Instant) -> Option<DirectoryRequest> {
    match request {
        DirectoryRequest::Found { .. } => Some(DirectoryRequest::Register(Box::new(NewTeam {
            domain: "acme".to_owned(),
            name: "Acme".to_owned(),
            owner: person(),
            team: Some(team()),
            channels: Some(registered().channels),
            key: some("key"),
            deadline,
        }))),
        DirectoryRequest::Register(_) => None,
    }
}

fn after_nothing(why: &Nothing) -> Option<Nothing> {
    Some(match why {
        Nothing::AlreadyIn(_) => Nothing::NotIn,
        Nothing::NotIn => Nothing::AlreadyOpen(conversation()),
        Nothing::AlreadyOpen(_) => Nothing::AlreadyClosed,
        Nothing::AlreadyClosed => Nothing::AlreadyRevoked,
        Nothing::AlreadyRevoked => Nothing::AlreadyBegun,
        Nothing::AlreadyBegun => Nothing::AlreadyThere(user()),
        Nothing::AlreadyThere(_) => Nothing::AlreadyImported,
        Nothing::AlreadyImported => return None,
    })
}

fn after_not_accepted(why: &NotAccepted) -> Option<NotAccepted> {
    Some(match why {
        NotAccepted::Busy => NotAccepted::LogAway,
        NotAccepted::LogAway => NotAccepted::TeamAway,
        NotAccepted::TeamAway => NotAccepted::NotOwner,
        NotAccepted::NotOwner => NotAccepted::Late,
        NotAccepted::Late => NotAccepted::Stopping,
        NotAccepted::Stopping => NotAccepted::Unreadable,
        NotAccepted::Unreadable => NotAccepted::OtherVersion,
        NotAccepted::OtherVersion => return None,
    })
}

fn position() -> Position {
    Position {
        log_id: Uuid::from_u128(5),
        offset: Offset(u64::MAX),
        epoch: 7,
        claim_id: Uuid::from_u128(6),
        claim_offset: Offset(9),
        next_seq: Some(8),
    }
}

/// All answers of the kind that comes next.
fn after_answers(answers: &[Answer]) -> Option<Vec<Answer>> {
    let (partition, seen_at) = (Partition(3), position());
    Some(match answers.last()? {
        Answer::Acked(_) => successors(Some(Nothing::AlreadyIn(conversation())), after_nothing)
            .map(|why| Answer::Nothing { why, partition, seen_at })
            .collect(),
        Answer::Nothing { .. } => Refusal::ALL.iter().copied().map(Answer::Refused).collect(),
        Answer::Refused(_) => successors(Some(NotAccepted::Busy), after_not_accepted)
            .map(|why| Answer::NotAccepted { retry_after: Duration::from_millis(1_234), why })
            .collect(),
        Answer::NotAccepted { .. } => vec![Answer::Unknown],
        Answer::Unknown => return None,
    })
}

fn over_the_wire<T: Serialize + DeserializeOwned>(sent: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(sent).unwrap()).unwrap()
}

#[test]
fn every_command_comes_as_it_was_asked() {
    let first = Command::BeginTeam(Box::new(registered()));
    for command in successors(Some(first), after_command) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let request = Request {
            team: team(),
            actor: Some(user()),
            method: "chat.postMessage".into(),
            key: some("key"),
            deadline,
            traceparent: some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            command,
        };
        let asked = over_the_wire(&Asked::new(Some(Partition(3)), request.clone(), deadline));
        assert_eq!(asked.partition, Some(Partition(3)));
        assert_eq!(Request { deadline, ..asked.request }, request);
    }
}

#[test]
fn everything_that_is_wanted_of_the_directory_comes_as_it_was_asked() {
    let deadline = Instant::now();
    let first = DirectoryRequest::Found { cluster_id: Uuid::from_u128(6), key_check: "ab".to_owned(), deadline };
    for request in successors(Some(first), |request| after_directory_request(request, deadline)) {
        assert_eq!(over_the_wire(&request).until(deadline), request);
    }
}

#[test]
fn every_answer_comes_as_it_was_given() {
    let event = Event::from(TokenRevoked { meta: meta(), user: user(), hash: "ab".to_owned() }).into();
    let acked = Acked { event, partition: Partition(3), seen_at: position(), repeated: true };
    for answer in successors(Some(vec![Answer::Acked(acked)]), |answers| after_answers(answers)).flatten() {
        assert_eq!(over_the_wire(&Said::of(answer.clone())).answer(), answer);
    }
}
