//! The messages that an event puts into conversations: the posted one, or those that a fact implies.

use crate::{ConversationId, ConversationKind, Event, Message, Text, Ts, UserId};

/// `kind` says how a channel's system messages are called: `channel_join` or `group_join`.
fn system(ts: Ts, user: UserId, subtype: &str, text: String) -> Message {
    Message {
        ts,
        user: Some(user),
        subtype: Some(subtype.to_owned()),
        text: Text { plain: text },
        ..Message::default()
    }
}

impl Event {
    /// The messages that this event adds, oldest first, with their conversation.
    ///
    /// Subtypes are those of public channels (`channel_join`); of a private one they are rendered with `group_`. What
    /// a subtype carries besides (`inviter`, `topic`, `name`, ...) stands in `extra`.
    pub fn messages(&self) -> Vec<(ConversationId, Message)> {
        let one = |conversation, message| vec![(conversation, message)];
        match self {
            Event::MessagePosted(e) => one(e.conversation, e.message.clone()),
            Event::MessageImported(e) => one(e.conversation, e.message.clone()),
            Event::ConversationCreated(e) if e.kind.is_channel() && !e.imported => {
                let Some(creator) = e.creator else { return Vec::new() };
                one(e.conversation, joined(e.created, creator, None))
            }
            Event::MembersJoined(e) => {
                e.joined.iter().map(|one| (e.conversation, joined(one.ts, one.user, e.inviter))).collect()
            }
            Event::MemberLeft(e) => one(
                e.conversation,
                system(e.ts, e.user, "channel_leave", format!("<@{}> has left the channel", e.user)),
            ),
            Event::ConversationRenamed(e) => {
                let text = format!("has renamed the channel from \"{}\" to \"{}\"", e.old_name, e.name);
                let extra = serde_json::json!({ "old_name": e.old_name, "name": e.name });
                by_actor(self, e.ts, "channel_name", text, extra).map_or_else(Vec::new, |m| one(e.conversation, m))
            }
            Event::TopicSet(e) => {
                let text = format!("set the channel topic: {}", e.topic.plain);
                let extra = serde_json::json!({ "topic": e.topic.plain });
                by_actor(self, e.ts, "channel_topic", text, extra).map_or_else(Vec::new, |m| one(e.conversation, m))
            }
            Event::PurposeSet(e) => {
                let text = format!("set the channel purpose: {}", e.purpose.plain);
                let extra = serde_json::json!({ "purpose": e.purpose.plain });
                by_actor(self, e.ts, "channel_purpose", text, extra).map_or_else(Vec::new, |m| one(e.conversation, m))
            }
            Event::ConversationArchived(e) => {
                by_actor(self, e.ts, "channel_archive", "archived the channel".to_owned(), serde_json::Value::Null)
                    .map_or_else(Vec::new, |m| one(e.conversation, m))
            }
            Event::ConversationUnarchived(e) => {
                by_actor(self, e.ts, "channel_unarchive", "un-archived the channel".to_owned(), serde_json::Value::Null)
                    .map_or_else(Vec::new, |m| one(e.conversation, m))
            }
            _ => Vec::new(),
        }
    }
}

fn joined(ts: Ts, user: UserId, inviter: Option<UserId>) -> Message {
    let mut message = system(ts, user, "channel_join", format!("<@{user}> has joined the channel"));
    message.extra = inviter.map(|inviter| Text { plain: serde_json::json!({ "inviter": inviter }).to_string() });
    message
}

/// A system message in the name of the event's actor; an operator's tool leaves none.
fn by_actor(event: &Event, ts: Ts, subtype: &str, text: String, extra: serde_json::Value) -> Option<Message> {
    let user = event.meta()?.actor?;
    let mut message = system(ts, user, subtype, format!("<@{user}> {text}"));
    message.extra = (!extra.is_null()).then(|| Text { plain: extra.to_string() });
    Some(message)
}

/// How a subtype is called in a conversation of this kind.
pub fn subtype_in(kind: ConversationKind, subtype: &str) -> String {
    match subtype.strip_prefix("channel_") {
        Some(rest) if kind != ConversationKind::PublicChannel => format!("group_{rest}"),
        _ => subtype.to_owned(),
    }
}

/// Whether a message of this subtype is an event of the conversation rather than somebody's words: it is not counted
/// as unread and cannot be edited.
pub fn is_system(subtype: Option<&str>) -> bool {
    subtype.is_some_and(|s| s.starts_with("channel_") || s.starts_with("group_"))
}

impl Event {
    /// The newest `ts` that this event gave out to a message of its team's own (an imported one keeps its own, so it
    /// gives out none); zero if it gave out none.
    pub fn given_ts(&self) -> Ts {
        match self {
            Event::MessagePosted(e) => e.message.ts,
            Event::ConversationCreated(e) if !e.imported => e.created,
            Event::MembersJoined(e) => e.joined.iter().map(|one| one.ts).max().unwrap_or(Ts::ZERO),
            Event::MemberLeft(e) => e.ts,
            Event::ConversationRenamed(e) => e.ts,
            Event::TopicSet(e) => e.ts,
            Event::PurposeSet(e) => e.ts,
            Event::ConversationArchived(e) => e.ts,
            Event::ConversationUnarchived(e) => e.ts,
            Event::MessageEdited(e) => e.after.edited.map_or(Ts::ZERO, |edited| edited.ts),
            _ => Ts::ZERO,
        }
    }
}
