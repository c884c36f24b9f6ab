//! Every request and every answer goes over the wire and arrives as it was sent.
//!
//! Commands come from the registry, with their samples. Each `after` below gives one of every kind, one after the other: a
//! new kind does not compile until it has a place in the `match`.

use std::iter::successors;

use serde::de::DeserializeOwned;
use teamlog_log::Offset;
use teamlog_schemas::{ConversationId, FirstChannel, Meta, TeamId, TokenRevoked, Ts, UserId};
use uuid::Uuid;

use super::*;
use crate::{
    Command, DirectoryRequest, NewPerson, NewTeam, Request,
    commands::{CreateUser, Scene},
};

fn team() -> TeamId {
    Scene::default().team
}

fn user() -> UserId {
    Scene::default().user
}

fn conversation() -> ConversationId {
    Scene::default().conversation
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn meta() -> Meta {
    let (event_id, at) = (Uuid::from_u128(3), Ts::from_micros(1_700_000_000_123_456));
    Meta { event_id, team: team(), actor: Some(user()), at, key: some("key \"with quotes\""), method: some("method") }
}

/// Returns an owner of whom nothing is left out.
fn owner() -> NewPerson {
    let full = Command::samples(&Scene::default()).into_iter().find_map(|command| match command {
        Command::CreateUser(create) => Some(*create),
        _ => None,
    });
    let CreateUser(owner) = full.unwrap();
    owner
}

fn after_directory_request(request: &DirectoryRequest, deadline: Instant) -> Option<DirectoryRequest> {
    let general = FirstChannel {
        conversation: conversation(),
        name: "general".to_owned(),
        is_general: true,
        purpose: "all".into(),
    };
    match request {
        DirectoryRequest::Found { .. } => Some(DirectoryRequest::Register(Box::new(NewTeam {
            domain: "acme".to_owned(),
            name: "Acme".to_owned(),
            owner: owner(),
            team: Some(team()),
            channels: Some(vec![general]),
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
        Nothing::AlreadyImported => Nothing::NotShown,
        Nothing::NotShown => Nothing::NotScheduled,
        Nothing::NotScheduled => Nothing::NotDue,
        Nothing::NotDue => return None,
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
    for command in Command::samples(&Scene::default()) {
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
