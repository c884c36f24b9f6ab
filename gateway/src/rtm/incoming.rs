//! The frames that a client sends over its socket.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use teamlog_ingest::{Answer, Command, Request, commands::Post};
use teamlog_schemas::{ConversationId, UserId};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    own::{Outcome, Unanswered},
    pace::Verdict,
    presence::changes,
    session::{End, Session, acknowledged},
};
use crate::{Incoming, SocketError, frames::encode, limits};

/// People whom one session may watch.
const WATCHED_MAX: usize = 1000;

/// Codes of error frames: the first three are Slack's.
mod code {
    pub(super) const TOO_FAST: i32 = -1;
    pub(super) const NOT_A_FRAME: i32 = 1;
    pub(super) const NO_TEXT: i32 = 2;
    pub(super) const REFUSED: i32 = 3;
    /// The write was not executed.
    pub(super) const NOT_ACCEPTED: i32 = 4;
    pub(super) const OUTCOME_UNKNOWN: i32 = 5;
}

impl Session<'_> {
    pub(super) async fn hear(&mut self, incoming: Option<Result<Incoming, SocketError>>) -> Result<(), End> {
        let now = Instant::now();
        self.pace.alive(now);
        match incoming {
            None | Some(Ok(Incoming::Close) | Err(SocketError::Broken(_))) => Err(End::Gone),
            Some(Err(SocketError::TooLarge)) => Err(End::TooLarge),
            Some(Ok(Incoming::Ping(_) | Incoming::Pong(_))) => Ok(()),
            Some(Ok(Incoming::Text(text))) => match self.pace.frame(now) {
                Verdict::Heard => self.understand(&text).await,
                Verdict::TooFast => {
                    self.feed(error(None, code::TOO_FAST, "slow down, too many frames: some were dropped")).await
                }
                Verdict::Ignored => Ok(()),
            },
        }
    }

    async fn understand(&mut self, text: &[u8]) -> Result<(), End> {
        match serde_json::from_slice::<Value>(text) {
            Ok(Value::Object(frame)) => self.obey(frame).await,
            _ => self.feed(error(None, code::NOT_A_FRAME, "not a JSON object")).await,
        }
    }

    async fn obey(&mut self, mut frame: Map<String, Value>) -> Result<(), End> {
        let id = frame.get("id").filter(|id| id.is_number()).cloned();
        match frame.get("type").and_then(Value::as_str).unwrap_or_default() {
            "ping" => {
                frame.insert("type".to_owned(), json!("pong"));
                frame.shift_remove("id");
                if let Some(id) = id {
                    frame.insert("reply_to".to_owned(), id);
                }
                self.feed(encode(&Value::Object(frame))).await
            }
            "message" => self.post(&frame, id).await,
            "typing" => {
                self.typing(&frame);
                Ok(())
            }
            "presence_sub" => {
                let ids = users(&frame);
                let watcher = (self.holder.ticket.team, self.number);
                let new = self.rtm().presences.watch(watcher, &self.notes, self.holder.ticket.batches, ids);
                self.feed_presences(new).await
            }
            "presence_query" => self.feed_presences(users(&frame).into_iter().collect()).await,
            "" => self.feed(error(id, code::NOT_A_FRAME, "a frame without a type")).await,
            // Clients send frames that need no answer (`tickle` and the like).
            _ => Ok(()),
        }
    }

    async fn post(&mut self, frame: &Map<String, Value>, id: Option<Value>) -> Result<(), End> {
        let text = |key: &str| frame.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(words) = text("text").filter(|words| !words.is_empty()) else {
            return self.feed(error(id, code::NO_TEXT, "message text is missing")).await;
        };
        let Some(conversation) = text("channel").and_then(|channel| channel.parse::<ConversationId>().ok()) else {
            return self.feed(error(id, code::REFUSED, "channel_not_found")).await;
        };
        let key = text("client_msg_id").filter(|id| !id.is_empty());
        if key.as_ref().is_some_and(|key| key.len() > limits::KEY_BYTES_MAX) {
            let message = format!("a client_msg_id has at most {} bytes", limits::KEY_BYTES_MAX);
            return self.feed(error(id, code::REFUSED, &message)).await;
        }
        let Ok(thread_ts) = text("thread_ts").filter(|ts| !ts.is_empty()).map(|ts| ts.parse()).transpose() else {
            return self.feed(error(id, code::REFUSED, "thread_not_found")).await;
        };
        if !self.rtm().messages.may_send(self.holder.ticket.team, self.holder.ticket.user) {
            return self.feed(error(id, code::TOO_FAST, "slow down, too many messages...")).await;
        }
        // Each message has a name, so that this session recognizes its own message in the log. A message that is sent again
        // while the first one is in flight appears in the log once and is answered twice.
        let client_msg_id = key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let post = Post {
            conversation: Some(conversation),
            text: words.clone(),
            thread_ts,
            reply_broadcast: frame.get("reply_broadcast").and_then(Value::as_bool).unwrap_or(false),
            client_msg_id: Some(client_msg_id.clone()),
            ..Post::default()
        };
        let request = Request {
            team: self.holder.ticket.team,
            actor: Some(self.holder.ticket.user),
            method: "chat.postMessage".into(),
            key,
            deadline: Instant::now() + self.gateway.config().write_deadline,
            traceparent: None,
            command: Command::from(post),
        };
        let (ingest, partition, deadline) =
            (self.gateway.ingest().clone(), self.holder.team.partition(), request.deadline);
        let answer = async move { ingest.submit(partition, request).await };
        self.own.submit(&client_msg_id, Unanswered { id, text: words }, deadline, answer);
        Ok(())
    }

    /// Answers a message of this socket, unless it was answered when it was read from the log.
    pub(super) async fn settle(&mut self, (name, answer): Outcome) -> Result<(), End> {
        let Some(unanswered) = self.own.answered(&name, &answer) else { return Ok(()) };
        let failed = |code, message: &str| error(unanswered.id.clone(), code, message);
        let frame = match answer {
            Answer::Acked(acked) => acknowledged(&unanswered, acked.event.given_ts()),
            Answer::Nothing { .. } => failed(code::REFUSED, "nothing to do"),
            Answer::Refused(refusal) => failed(code::REFUSED, refusal.code()),
            Answer::NotAccepted { .. } => failed(code::NOT_ACCEPTED, "not_accepted"),
            Answer::Unknown => failed(code::OUTCOME_UNKNOWN, "outcome_unknown"),
        };
        self.feed(frame).await
    }

    fn typing(&mut self, frame: &Map<String, Value>) {
        let channel = frame.get("channel").and_then(Value::as_str).and_then(|channel| channel.parse().ok());
        let Some(conversation): Option<ConversationId> = channel else { return };
        let (user, team) = (self.holder.ticket.user, self.holder.team.read());
        if let (true, Some(person)) = (team.is_member(user, conversation), team.person_index(user))
            && self.pace.may_type(conversation, Instant::now())
        {
            let frame = encode(&json!({ "type": "user_typing", "channel": conversation, "user": user }));
            self.rtm().hub.tell_members(&team, conversation, person, &frame);
        }
    }

    async fn feed_presences(&mut self, users: Vec<UserId>) -> Result<(), End> {
        let (team, now) = (self.holder.ticket.team, Instant::now());
        let people: Vec<(UserId, bool)> =
            users.into_iter().map(|user| (user, self.rtm().presences.of(team, user, now).active)).collect();
        for frame in changes(&people, self.holder.ticket.batches) {
            self.feed(frame).await?;
        }
        Ok(())
    }
}

fn users(frame: &Map<String, Value>) -> HashSet<UserId> {
    let ids = frame.get("ids").and_then(Value::as_array);
    ids.into_iter().flatten().filter_map(Value::as_str).filter_map(|id| id.parse().ok()).take(WATCHED_MAX).collect()
}

fn error(reply_to: Option<Value>, code: i32, message: &str) -> bytes::Bytes {
    encode(&match reply_to {
        Some(id) => json!({ "ok": false, "reply_to": id, "error": { "code": code, "msg": message } }),
        None => json!({ "type": "error", "error": { "code": code, "msg": message } }),
    })
}
