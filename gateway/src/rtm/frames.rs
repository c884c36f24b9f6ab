//! What an event looks like on the wire, and to whom.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use teamlog_schemas::{
    ConversationCreated, ConversationId, ConversationKind, Event, MessageDeleted, MessageEdited, MessagePosted, Ts,
    UserId,
};
use teamlog_state::{Conversation, MessageFact, Team};

use crate::render;

/// Whom a frame is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Audience {
    /// Who is in the conversation at this event; who leaves with it, too.
    Members(ConversationId),
    /// These people.
    Users(Vec<UserId>),
    /// The whole team.
    Everyone,
}

/// The frames of an event, in the order in which they are sent. `team` reflects the event, or more.
pub(super) fn frames(event: &Event, team: &Team) -> Vec<(Audience, Bytes)> {
    let mut out = Out { team, at: event.meta().map_or(Ts::ZERO, |meta| meta.at), frames: Vec::new() };
    match event {
        Event::MessagePosted(e) => out.posted(e),
        Event::MessageEdited(e) => out.edited(e),
        Event::MessageDeleted(e) => out.deleted(e),
        Event::ConversationCreated(e) if !e.imported => {
            out.created(e);
            out.implied(event);
        }
        Event::MembersJoined(e) => {
            for one in &e.joined {
                out.joined(e.conversation, one.user, e.inviter, one.ts);
            }
            out.implied(event);
        }
        Event::MemberLeft(e) => {
            let Some(c) = team.conversation(e.conversation) else { return Vec::new() };
            let left = if c.kind == ConversationKind::PublicChannel { "channel_left" } else { "group_left" };
            let actor = e.kicked_by.unwrap_or(e.user);
            out.push(
                Audience::Users(vec![e.user]),
                json!({ "type": left, "channel": e.conversation, "actor_id": actor, "event_ts": e.ts.to_string() }),
            );
            let mut frame = json!({
                "type": "member_left_channel", "user": e.user, "channel": e.conversation,
                "channel_type": channel_type(c), "team": team.id(), "event_ts": e.ts.to_string(),
            });
            if let Some(actor) = e.kicked_by {
                frame["actor"] = json!(actor);
            }
            out.push(Audience::Members(e.conversation), frame);
            out.implied(event);
        }
        Event::ConversationRenamed(e) => {
            out.about_channel(e.conversation, "rename", e.ts, |c, frame| {
                let created = c.created.seconds();
                let mut channel = json!({ "id": c.conversation, "name": e.name, "name_normalized": e.name });
                if c.kind == ConversationKind::PublicChannel {
                    channel["is_channel"] = json!(true);
                    channel["created"] = json!(created);
                } else {
                    // As recorded: a string here, and strict clients know it.
                    channel["created"] = json!(created.to_string());
                }
                frame.insert("channel".to_owned(), channel);
            });
            out.implied(event);
        }
        Event::ConversationArchived(e) => {
            let user = e.meta.actor;
            out.about_channel(e.conversation, "archive", e.ts, |c, frame| {
                frame.insert("channel".to_owned(), json!(c.conversation));
                frame.insert("user".to_owned(), json!(user));
            });
            out.implied(event);
        }
        Event::ConversationUnarchived(e) => {
            let user = e.meta.actor;
            out.about_channel(e.conversation, "unarchive", e.ts, |c, frame| {
                frame.insert("channel".to_owned(), json!(c.conversation));
                frame.insert("user".to_owned(), json!(user));
            });
            out.implied(event);
        }
        Event::TopicSet(_) | Event::PurposeSet(_) => out.implied(event),
        Event::ConversationOpened(e) => out.direct("open", e.conversation, e.meta.actor),
        Event::ConversationClosed(e) => out.direct("close", e.conversation, e.meta.actor),
        Event::UserCreated(e) => {
            if let Some(member) = team.person(e.person.user) {
                let at = e.meta.at;
                let frame = json!({
                    "type": "team_join", "user": render::user(team, member), "cache_ts": at.seconds(),
                    "event_ts": at.to_string(),
                });
                out.push(Audience::Everyone, frame);
                if let Some(bot) = render::user_bot(team, member) {
                    let frame = json!({ "type": "bot_added", "bot": bot, "event_ts": at.to_string() });
                    out.push(Audience::Everyone, frame);
                }
            }
        }
        Event::BotAdded(e) => {
            if let Some(bot) = team.bot(e.bot) {
                let bot = render::bot(team, bot);
                let at = e.meta.at.to_string();
                out.push(Audience::Everyone, json!({ "type": "bot_added", "bot": bot, "event_ts": at }));
            }
        }
        Event::ReactionAdded(e) => {
            out.reaction("reaction_added", e.conversation, e.ts, &e.name, e.meta.actor, e.item_author);
        }
        Event::ReactionRemoved(e) => {
            out.reaction("reaction_removed", e.conversation, e.ts, &e.name, e.meta.actor, e.item_author);
        }
        Event::ConversationCreated(_)
        | Event::MessageImported(_)
        | Event::TeamCreated(_)
        | Event::PasswordSet(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_)
        | Event::ClusterFounded(_)
        | Event::TeamRegistered(_)
        | Event::NodeBeat(_)
        | Event::ReadMarked(_)
        | Event::CredentialStored(_) => {}
    }
    out.frames
}

/// One line of compact JSON.
pub(super) fn encode(frame: &Value) -> Bytes {
    Bytes::from(frame.to_string())
}

struct Out<'a> {
    team: &'a Team,
    at: Ts,
    frames: Vec<(Audience, Bytes)>,
}

impl Out<'_> {
    fn push(&mut self, audience: Audience, frame: Value) {
        self.frames.push((audience, encode(&frame)));
    }

    fn posted(&mut self, e: &MessagePosted) {
        let team = self.team;
        if !e.opens_for.is_empty()
            && let Some(c) = team.conversation(e.conversation)
        {
            for user in &e.opens_for {
                let kind = direct_kind(c);
                let frame = json!({ "type": format!("{kind}_open"), "user": user, "channel": e.conversation });
                self.push(Audience::Users(vec![*user]), frame);
            }
        }
        let mut message = render::message(team, e.conversation, &e.message);
        message["channel"] = json!(e.conversation);
        message["event_ts"] = json!(e.message.ts.to_string());
        if let Some(thread) = &e.thread {
            message["parent_user_id"] = json!(thread.root_author);
        }
        if e.message.reply_broadcast && e.message.subtype.is_none() {
            message["subtype"] = json!("thread_broadcast");
        }
        self.push(Audience::Members(e.conversation), message);
        if let Some(thread) = &e.thread {
            let mut root = Map::new();
            root.insert("type".to_owned(), json!("message"));
            root.insert("user".to_owned(), json!(thread.root_author));
            root.insert("ts".to_owned(), json!(thread.root.to_string()));
            render::thread_keys(&mut root, thread);
            let reply = json!({ "user": e.message.user, "ts": e.message.ts.to_string() });
            root.insert("replies".to_owned(), json!([reply]));
            let ts = e.message.ts.to_string();
            let frame = json!({
                "type": "message", "subtype": "message_replied", "hidden": true, "channel": e.conversation,
                "ts": ts, "event_ts": ts, "thread_ts": thread.root.to_string(), "message": root,
            });
            self.push(Audience::Members(e.conversation), frame);
        }
    }

    fn edited(&mut self, e: &MessageEdited) {
        let ts = e.after.edited.map_or(self.at, |edited| edited.ts).to_string();
        let frame = json!({
            "type": "message", "subtype": "message_changed", "hidden": true, "channel": e.conversation,
            "ts": ts, "event_ts": ts,
            "message": render::message(self.team, e.conversation, &e.after),
            "previous_message": render::message(self.team, e.conversation, &e.before),
        });
        self.push(Audience::Members(e.conversation), frame);
    }

    fn deleted(&mut self, e: &MessageDeleted) {
        let ts = self.at.to_string();
        let before = render::message(self.team, e.conversation, &e.before);
        let frame = if e.tombstone {
            let fact = MessageFact { message: e.before.clone(), reactions: Vec::new(), thread: None, tombstone: true };
            json!({
                "type": "message", "subtype": "message_changed", "hidden": true, "channel": e.conversation,
                "ts": ts, "event_ts": ts,
                "message": render::message_fact(self.team, e.conversation, &fact), "previous_message": before,
            })
        } else {
            json!({
                "type": "message", "subtype": "message_deleted", "hidden": true, "channel": e.conversation,
                "ts": ts, "event_ts": ts, "deleted_ts": e.before.ts.to_string(), "previous_message": before,
            })
        };
        self.push(Audience::Members(e.conversation), frame);
    }

    fn created(&mut self, e: &ConversationCreated) {
        let team = self.team;
        let Some(c) = team.conversation(e.conversation) else { return };
        let at = e.created.to_string();
        match e.kind {
            ConversationKind::PublicChannel => {
                let channel = json!({
                    "id": c.conversation, "name": e.name, "name_normalized": e.name, "is_channel": true,
                    "created": e.created.seconds(), "creator": e.creator, "is_shared": false, "is_org_shared": false,
                });
                let frame = json!({ "type": "channel_created", "channel": channel, "event_ts": at });
                self.push(Audience::Everyone, frame);
            }
            ConversationKind::Im => {
                for user in &e.members {
                    let channel = render::conversation(team, c, *user, None);
                    let frame = json!({ "type": "im_created", "user": user, "channel": channel, "event_ts": at });
                    self.push(Audience::Users(vec![*user]), frame);
                }
            }
            ConversationKind::Mpim => {
                for user in &e.members {
                    let channel = render::legacy_conversation(team, c, *user, None, 500);
                    let frame = json!({ "type": "mpim_joined", "channel": channel, "event_ts": at });
                    self.push(Audience::Users(vec![*user]), frame);
                }
            }
            ConversationKind::PrivateChannel => {}
        }
        if e.kind.is_channel() {
            for user in &e.members {
                self.joined(e.conversation, *user, e.creator.filter(|creator| creator != user), e.created);
            }
        } else if let Some(actor) = e.meta.actor {
            self.direct("open", e.conversation, Some(actor));
        }
    }

    /// Somebody is in a channel from here on: they get the channel, the others hear of it.
    fn joined(&mut self, conversation: ConversationId, user: UserId, inviter: Option<UserId>, ts: Ts) {
        let team = self.team;
        let Some(c) = team.conversation(conversation) else { return };
        let joined = if c.kind == ConversationKind::PublicChannel { "channel_joined" } else { "group_joined" };
        let channel = render::legacy_conversation(team, c, user, None, 500);
        self.push(Audience::Users(vec![user]), json!({ "type": joined, "channel": channel }));
        let mut frame = json!({
            "type": "member_joined_channel", "user": user, "channel": conversation, "channel_type": channel_type(c),
            "team": team.id(), "event_ts": ts.to_string(),
        });
        if let Some(inviter) = inviter {
            frame["inviter"] = json!(inviter);
        }
        self.push(Audience::Members(conversation), frame);
    }

    /// The messages that a fact implies: "has joined the channel" and the like.
    fn implied(&mut self, event: &Event) {
        for (conversation, message) in event.messages() {
            let mut frame = render::message(self.team, conversation, &message);
            frame["channel"] = json!(conversation);
            frame["event_ts"] = json!(message.ts.to_string());
            self.push(Audience::Members(conversation), frame);
        }
    }

    /// `channel_*` to the team, `group_*` to the members.
    fn about_channel(
        &mut self,
        conversation: ConversationId,
        what: &str,
        ts: Ts,
        fill: impl FnOnce(&Conversation, &mut Map<String, Value>),
    ) {
        let Some(c) = self.team.conversation(conversation) else { return };
        let public = c.kind == ConversationKind::PublicChannel;
        let mut frame = Map::new();
        let prefix = if public { "channel" } else { "group" };
        frame.insert("type".to_owned(), json!(format!("{prefix}_{what}")));
        fill(c, &mut frame);
        frame.insert("event_ts".to_owned(), json!(ts.to_string()));
        let audience = if public { Audience::Everyone } else { Audience::Members(conversation) };
        self.push(audience, Value::Object(frame));
    }

    fn direct(&mut self, what: &str, conversation: ConversationId, actor: Option<UserId>) {
        let (Some(c), Some(actor)) = (self.team.conversation(conversation), actor) else { return };
        let kind = direct_kind(c);
        let at = self.at.to_string();
        let frame = json!({ "type": format!("{kind}_{what}"), "user": actor, "channel": conversation, "event_ts": at });
        self.push(Audience::Users(vec![actor]), frame);
    }

    fn reaction(
        &mut self,
        kind: &str,
        conversation: ConversationId,
        ts: Ts,
        name: &str,
        user: Option<UserId>,
        author: Option<UserId>,
    ) {
        let mut frame = json!({
            "type": kind, "user": user, "reaction": name,
            "item": { "type": "message", "channel": conversation, "ts": ts.to_string() },
            "event_ts": self.at.to_string(),
        });
        if let Some(author) = author {
            frame["item_user"] = json!(author);
        }
        self.push(Audience::Members(conversation), frame);
    }
}

fn channel_type(c: &Conversation) -> &'static str {
    if c.kind == ConversationKind::PublicChannel { "C" } else { "G" }
}

fn direct_kind(c: &Conversation) -> &'static str {
    if c.kind == ConversationKind::Im { "im" } else { "mpim" }
}
