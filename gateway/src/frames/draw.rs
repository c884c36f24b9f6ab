//! The frames of an event on the wire, and the people each frame is for.

use std::cell::LazyCell;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use teamlog_schemas::{
    ConversationCreated, ConversationId, ConversationKind, Event, Message, MessageDeleted, MessageEdited,
    MessagePosted, Reach, Thread, Ts, UserId,
};
use teamlog_state::{Conversation, ConversationRow, Headline, MessageFact, Team};

use crate::{
    limits,
    render::{self, AsText, Rendered},
};

/// Whom a frame is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Audience {
    /// The members of the conversation at this event, including a member who leaves with it.
    Members(ConversationId),
    /// These people.
    Users(Vec<UserId>),
    /// The whole team.
    Everyone,
}

/// A frame of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drawn {
    /// Whom it is for.
    pub(crate) audience: Audience,
    /// The frame as a line of JSON.
    pub(crate) json: Bytes,
    /// True if it is the message that the event is about.
    pub(crate) is_message: bool,
}

impl Audience {
    /// Whether it lies within what the event says of its reach: beyond it nobody is asked for. Which people a conversation
    /// has is not looked at, for `team` may reflect more than the event.
    fn is_within_reach(&self, event: &Event, team: &Team) -> bool {
        let conversation = event.conversation();
        let is_public = || {
            let found = conversation.and_then(|conversation| team.conversation(conversation));
            found.is_some_and(|c| c.kind == ConversationKind::PublicChannel)
        };
        match (self, event.reach()) {
            (_, Reach::Nobody) => false,
            (_, Reach::Everyone) | (Audience::Users(_), Reach::Members | Reach::Viewers) => true,
            (Audience::Members(of), Reach::Members | Reach::Viewers) => Some(*of) == conversation,
            (Audience::Everyone, Reach::Viewers) => is_public(),
            (Audience::Everyone, Reach::Members) => false,
        }
    }
}

/// Draws the frames of an event, in the order in which they are sent. `team` reflects the event, or more: how many they
/// are and whom each is for follows from the event alone, so that a cursor may point between two of them.
///
/// **Frames of an event are only ever appended**: a cursor counts frames within its event, and comes back to a later
/// version of the program. `golden.txt` beside the tests holds their order.
pub(crate) fn frames(event: &Event, team: &Team) -> Vec<Drawn> {
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
            let joined: Vec<_> = e.joined.iter().map(|one| (one.user, one.ts)).collect();
            out.joined(e.conversation, &joined, e.inviter);
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
            out.archive("archive", e.conversation, e.meta.actor, e.ts);
            out.implied(event);
        }
        Event::ConversationUnarchived(e) => {
            out.archive("unarchive", e.conversation, e.meta.actor, e.ts);
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
        Event::MessagePinned(e) => {
            if let Some(by) = e.meta.actor {
                let mut frame = out.pin("pin_added", e.conversation, &e.message, by, e.meta.at, e.pin_count);
                frame["item"]["message"]["pinned_to"] = json!([e.conversation]);
                out.push(Audience::Members(e.conversation), frame);
            }
            out.implied(event);
        }
        Event::MessageUnpinned(e) => {
            let mut frame = out.pin("pin_removed", e.conversation, &e.message, e.pinned_by, e.pinned_at, e.pin_count);
            frame["user"] = json!(e.meta.actor);
            frame["has_pins"] = json!(e.pin_count > 0);
            out.push(Audience::Members(e.conversation), frame);
        }
        Event::ConversationCreated(_)
        | Event::MessageImported(_)
        | Event::MessageScheduled(_)
        | Event::ScheduledMessageDeleted(_)
        | Event::TeamCreated(_)
        | Event::PasswordSet(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_)
        | Event::ClusterFounded(_)
        | Event::TeamRegistered(_)
        | Event::NodeBeat(_)
        | Event::ConsumerProgress(_)
        | Event::WorkFailed(_)
        | Event::ReadMarked(_)
        | Event::CredentialStored(_) => {}
    }
    debug_assert!(
        out.frames.iter().all(|drawn| drawn.audience.is_within_reach(event, team)),
        "a frame of {} is for more people than its reach says",
        event.name()
    );
    out.frames
}

/// A new message.
#[derive(Serialize)]
struct MessageFrame<'a> {
    #[serde(flatten)]
    message: Rendered<'a>,
    channel: ConversationId,
    event_ts: AsText<Ts>,
    #[serde(flatten)]
    in_thread: Option<InThread>,
}

/// The keys of a reply about its thread.
#[derive(Serialize)]
struct InThread {
    parent_user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Value>,
}

/// Encodes a frame as a line of compact JSON.
pub(crate) fn encode(frame: &impl Serialize) -> Bytes {
    // Objects with strings as keys: they cannot fail.
    Bytes::from(serde_json::to_vec(frame).expect("a frame is plain JSON"))
}

struct Out<'a> {
    team: &'a Team,
    at: Ts,
    frames: Vec<Drawn>,
}

impl Out<'_> {
    fn push(&mut self, audience: Audience, frame: Value) {
        self.frames.push(Drawn { audience, json: encode(&frame), is_message: false });
    }

    fn posted(&mut self, e: &MessagePosted) {
        for user in &e.opens_for {
            self.direct("open", e.conversation, Some(*user));
        }
        let json = self.message(e.conversation, &e.message, e.thread.as_ref());
        self.frames.push(Drawn { audience: Audience::Members(e.conversation), json, is_message: true });
        if let Some(thread) = &e.thread {
            let reply = json!({ "user": e.message.user, "ts": e.message.ts.to_string() });
            self.replied(e.conversation, thread, e.message.ts, vec![reply]);
        }
    }

    fn rendered<'a>(&'a self, conversation: ConversationId, message: &'a Message) -> Rendered<'a> {
        Rendered { team: self.team, conversation, message }
    }

    /// The frame of a new message.
    fn message(&self, conversation: ConversationId, message: &Message, thread: Option<&Thread>) -> Bytes {
        let (rendered, event_ts) = (self.rendered(conversation, message), AsText(message.ts));
        let in_thread = thread.map(|thread| {
            let is_broadcast = rendered.subtype().as_deref() == Some("thread_broadcast");
            InThread { parent_user_id: thread.root_author, root: is_broadcast.then(|| root(thread)) }
        });
        encode(&MessageFrame { message: rendered, channel: conversation, event_ts, in_thread })
    }

    /// Adds the frame of a thread's new state. Of its replies it lists only a new one.
    fn replied(&mut self, conversation: ConversationId, thread: &Thread, ts: Ts, replies: Vec<Value>) {
        let mut message = root(thread);
        message["replies"] = json!(replies);
        let ts = ts.to_string();
        let frame = json!({
            "type": "message", "subtype": "message_replied", "hidden": true, "channel": conversation,
            "ts": ts, "event_ts": ts, "thread_ts": thread.root.to_string(), "message": message,
        });
        self.push(Audience::Members(conversation), frame);
    }

    fn edited(&mut self, e: &MessageEdited) {
        let ts = e.edit().map_or(self.at, |edit| edit.ts).to_string();
        let frame = json!({
            "type": "message", "subtype": "message_changed", "hidden": true, "channel": e.conversation,
            "ts": ts, "event_ts": ts,
            "message": self.rendered(e.conversation, &e.after),
            "previous_message": self.rendered(e.conversation, &e.before),
        });
        self.push(Audience::Members(e.conversation), frame);
    }

    fn deleted(&mut self, e: &MessageDeleted) {
        let ts = self.at.to_string();
        let before = self.rendered(e.conversation, &e.before);
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
        if let Some(thread) = &e.thread {
            self.replied(e.conversation, thread, self.at, Vec::new());
        }
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
                    let other = self.other(c, *user);
                    let frame = json!({ "type": "im_created", "user": other, "channel": channel, "event_ts": at });
                    self.push(Audience::Users(vec![*user]), frame);
                }
            }
            ConversationKind::Mpim => {
                for user in &e.members {
                    let channel = render::legacy_conversation(team, c, *user, None, limits::LEGACY_MEMBERS_MAX);
                    let frame = json!({ "type": "mpim_joined", "channel": channel, "event_ts": at });
                    self.push(Audience::Users(vec![*user]), frame);
                }
            }
            ConversationKind::PrivateChannel => {}
        }
        if e.kind.is_channel() {
            let members: Vec<_> = e.members.iter().map(|user| (*user, e.created)).collect();
            self.joined(e.conversation, &members, e.creator);
        } else if let Some(actor) = e.meta.actor {
            self.direct("open", e.conversation, Some(actor));
        }
    }

    /// People are in a channel from here on: they get the channel, all of its members hear of it.
    fn joined(&mut self, conversation: ConversationId, joined: &[(UserId, Ts)], inviter: Option<UserId>) {
        let team = self.team;
        let (Some(c), Some((first, ts))) = (team.conversation(conversation), joined.first()) else { return };
        let kind = if c.kind == ConversationKind::PublicChannel { "channel_joined" } else { "group_joined" };
        let draw = |c: &Conversation| {
            // It looks the same to all who have just come.
            let channel = render::legacy_conversation(team, c, *first, None, limits::LEGACY_MEMBERS_MAX);
            encode(&json!({ "type": kind, "channel": channel, "event_ts": ts.to_string() }))
        };
        let whole = draw(c);
        let bare = LazyCell::new(|| draw(&without_what_came_later(team, c, joined)));
        // One each, for `team` may reflect that some of them have left by now.
        for (user, _) in joined {
            let may_see = c.kind == ConversationKind::PublicChannel || team.is_member(*user, conversation);
            let json = if may_see { whole.clone() } else { bare.clone() };
            self.frames.push(Drawn { audience: Audience::Users(vec![*user]), json, is_message: false });
        }
        for (user, ts) in joined {
            let mut frame = json!({
                "type": "member_joined_channel", "user": user, "channel": conversation,
                "channel_type": channel_type(c), "team": team.id(), "event_ts": ts.to_string(),
            });
            if let Some(inviter) = inviter.filter(|inviter| inviter != user) {
                frame["inviter"] = json!(inviter);
            }
            self.push(Audience::Members(conversation), frame);
        }
    }

    /// The messages that a fact implies: "has joined the channel" and the like.
    fn implied(&mut self, event: &Event) {
        for (conversation, message) in event.implied() {
            let json = self.message(conversation, &message, None);
            self.frames.push(Drawn { audience: Audience::Members(conversation), json, is_message: false });
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

    fn archive(&mut self, what: &str, conversation: ConversationId, actor: Option<UserId>, ts: Ts) {
        self.about_channel(conversation, what, ts, |c, frame| {
            frame.insert("channel".to_owned(), json!(c.conversation));
            if let Some(actor) = actor {
                frame.insert("user".to_owned(), json!(actor));
            }
        });
    }

    /// The other one of a direct message; oneself if there is none.
    fn other(&self, conversation: &Conversation, user: UserId) -> UserId {
        let members = self.team.members_of(conversation).map(|member| member.person.user);
        members.into_iter().find(|member| *member != user).unwrap_or(user)
    }

    fn direct(&mut self, what: &str, conversation: ConversationId, actor: Option<UserId>) {
        let (Some(c), Some(actor)) = (self.team.conversation(conversation), actor) else { return };
        let kind = direct_kind(c);
        let at = self.at.to_string();
        // As recorded: of two people it names the other one, of a group the one who is told.
        let user = if c.kind == ConversationKind::Im { self.other(c, actor) } else { actor };
        let frame = json!({ "type": format!("{kind}_{what}"), "user": user, "channel": conversation, "event_ts": at });
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

    /// The part that `pin_added` and `pin_removed` have in common. `by` and `at` are those of the pin.
    fn pin(
        &self,
        kind: &str,
        conversation: ConversationId,
        message: &Message,
        by: UserId,
        at: Ts,
        pin_count: i32,
    ) -> Value {
        let mut frame = json!({
            "type": kind, "user": by, "channel_id": conversation,
            "item": {
                "type": "message", "channel": conversation, "created": at.seconds(), "created_by": by,
                "message": self.rendered(conversation, message),
            },
            "pin_count": pin_count, "pinned_info": render::pinned_info(conversation, by, at),
            "event_ts": self.at.to_string(),
        });
        if let Some(author) = message.user {
            frame["item_user"] = json!(author);
        }
        frame
    }
}

/// A private channel for those who have left it since: nothing of what it may have become after that.
fn without_what_came_later(team: &Team, of: &Conversation, joined: &[(UserId, Ts)]) -> Conversation {
    let row = ConversationRow {
        name: Some(of.conversation.to_string()),
        previous_names: Vec::new(),
        topic: Headline::default(),
        purpose: Headline::default(),
        is_archived: false,
        pins: Vec::new(),
        extra: None,
        ..of.row.clone()
    };
    let members = joined.iter().filter_map(|(user, _)| team.person_index(*user)).collect();
    Conversation { members, ..Conversation::from(row) }
}

/// A thread's root, as far as an event of its replies knows it.
fn root(thread: &Thread) -> Value {
    let mut root = Map::new();
    root.insert("type".to_owned(), json!("message"));
    root.insert("user".to_owned(), json!(thread.root_author));
    root.insert("ts".to_owned(), json!(thread.root.to_string()));
    root.insert("thread_ts".to_owned(), json!(thread.root.to_string()));
    root.insert("reply_count".to_owned(), json!(thread.reply_count));
    render::thread_keys(&mut root, thread);
    Value::Object(root)
}

fn channel_type(c: &Conversation) -> &'static str {
    if c.kind == ConversationKind::PublicChannel { "C" } else { "G" }
}

fn direct_kind(c: &Conversation) -> &'static str {
    if c.kind == ConversationKind::Im { "im" } else { "mpim" }
}

#[cfg(test)]
mod reach;
#[cfg(test)]
mod tests;
