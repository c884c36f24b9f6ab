//! System messages: messages that a conversation posts when members join or leave, or when its name or topic changes.

use serde_json::Value as Json;

use crate::{ConversationId, ConversationKind, Message, Meta, Text, Ts, UserId};

/// A system message of a user.
pub(crate) fn system(ts: Ts, user: UserId, subtype: &str, text: String) -> Message {
    Message {
        ts,
        user: Some(user),
        subtype: Some(subtype.to_owned()),
        text: Text { plain: text },
        ..Message::default()
    }
}

/// Returns the join message of a user.
pub(crate) fn joined(ts: Ts, user: UserId, inviter: Option<UserId>) -> Message {
    let mut message = system(ts, user, "channel_join", format!("<@{user}> has joined the channel"));
    message.extra = inviter.map(|inviter| Text { plain: serde_json::json!({ "inviter": inviter }).to_string() });
    message
}

/// Returns a system message in the name of the event's actor; none if an operator's tool made the event.
pub(crate) fn by_actor(
    meta: &Meta,
    conversation: ConversationId,
    ts: Ts,
    subtype: &str,
    text: &str,
    extra: Json,
) -> Vec<(ConversationId, Message)> {
    let Some(user) = meta.actor else { return Vec::new() };
    let mut message = system(ts, user, subtype, format!("<@{user}> {text}"));
    message.extra = (!extra.is_null()).then(|| Text { plain: extra.to_string() });
    vec![(conversation, message)]
}

/// Returns the name of a subtype in a conversation of this kind.
pub fn subtype_in(kind: ConversationKind, subtype: &str) -> String {
    match subtype.strip_prefix("channel_") {
        Some(rest) if kind != ConversationKind::PublicChannel => format!("group_{rest}"),
        _ => subtype.to_owned(),
    }
}

/// Returns true if a message of this subtype is a system message, not one that a user wrote. It is not counted as unread
/// and cannot be edited.
pub fn is_system(subtype: Option<&str>) -> bool {
    subtype.is_some_and(|s| s.starts_with("channel_") || s.starts_with("group_") || s == "pinned_item")
}
