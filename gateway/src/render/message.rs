//! Messages as clients read them.

use serde_json::{Map, Value, json};
use teamlog_schemas::{ConversationId, ConversationKind, Message, Reaction, Text, Thread, UserId, subtype_in};
use teamlog_state::{MessageFact, Team};

use super::merge_extra;

/// The text of what is left of a deleted message that has replies.
pub const TOMBSTONE_TEXT: &str = "This message was deleted.";

/// A message by itself, without what hangs on it: what a `message` frame holds but for the channel.
///
/// What an import brought and nothing here understands is given back as it was.
pub fn message(team: &Team, conversation: ConversationId, message: &Message) -> Value {
    Value::Object(base(team, conversation, message))
}

/// A message with its reactions and, of a root, its thread; a tombstone if it is one.
pub fn message_fact(team: &Team, conversation: ConversationId, fact: &MessageFact) -> Value {
    let mut object =
        if fact.tombstone { tombstone(team, &fact.message) } else { base(team, conversation, &fact.message) };
    if let Some(thread) = &fact.thread {
        thread_keys(&mut object, thread);
    }
    if !fact.reactions.is_empty() && !fact.tombstone {
        object.insert("reactions".to_owned(), reactions(&fact.reactions));
    }
    Value::Object(object)
}

/// A reply with its root's author, as `conversations.replies` gives it.
pub fn reply(team: &Team, conversation: ConversationId, fact: &MessageFact, root_author: Option<UserId>) -> Value {
    let mut rendered = message_fact(team, conversation, fact);
    if let (Value::Object(object), Some(author)) = (&mut rendered, root_author) {
        object.insert("parent_user_id".to_owned(), json!(author));
    }
    rendered
}

/// Reactions as a list of `{name, users, count}`.
pub fn reactions(reactions: &[Reaction]) -> Value {
    let one =
        |reaction: &Reaction| json!({ "name": reaction.name, "users": reaction.users, "count": reaction.users.len() });
    reactions.iter().map(one).collect()
}

/// What a root says of its thread. Nothing once no reply is left.
pub fn thread_keys(object: &mut Map<String, Value>, thread: &Thread) {
    if thread.reply_count <= 0 {
        return;
    }
    object.insert("thread_ts".to_owned(), json!(thread.root.to_string()));
    object.insert("reply_count".to_owned(), json!(thread.reply_count));
    object.insert("reply_users_count".to_owned(), json!(thread.reply_users.len()));
    if let Some(latest) = thread.latest_reply {
        object.insert("latest_reply".to_owned(), json!(latest.to_string()));
    }
    if !thread.reply_users.is_empty() {
        object.insert("reply_users".to_owned(), json!(thread.reply_users));
    }
    object.insert("is_locked".to_owned(), json!(false));
    object.insert("subscribed".to_owned(), json!(false));
}

fn base(team: &Team, conversation: ConversationId, message: &Message) -> Map<String, Value> {
    let kind = team.conversation(conversation).map_or(ConversationKind::PublicChannel, |c| c.kind);
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("type", json!("message"));
    match &message.subtype {
        Some(subtype) => put("subtype", json!(subtype_in(kind, subtype))),
        None if message.reply_broadcast && message.is_reply() => put("subtype", json!("thread_broadcast")),
        None => {}
    }
    put("ts", json!(message.ts.to_string()));
    if let Some(user) = message.user {
        put("user", json!(user));
    }
    if let Some(bot) = message.bot {
        put("bot_id", json!(bot));
    }
    put("text", json!(message.text.as_str()));
    if let Some(id) = &message.client_msg_id {
        put("client_msg_id", json!(id));
    }
    if let Some(username) = &message.username {
        put("username", json!(username.as_str()));
    }
    if let Some(icons) = parsed(message.icons.as_ref()).filter(Value::is_object) {
        put("icons", icons);
    }
    if let Some(blocks) = list(message.blocks.as_ref()) {
        put("blocks", Value::Array(blocks));
    }
    if let Some(attachments) = list(message.attachments.as_ref()) {
        put("attachments", numbered(attachments));
    }
    if let Some(root) = message.thread_ts {
        put("thread_ts", json!(root.to_string()));
    }
    if let Some(edited) = message.edited {
        put("edited", json!({ "user": edited.user, "ts": edited.ts.to_string() }));
    }
    merge_extra(&mut object, message.extra.as_ref());
    object.entry("team").or_insert_with(|| json!(team.id()));
    object
}

fn tombstone(team: &Team, message: &Message) -> Map<String, Value> {
    let ts = message.ts.to_string();
    let tombstone = json!({
        "type": "message",
        "subtype": "tombstone",
        "ts": ts,
        "user": "USLACKBOT",
        "text": TOMBSTONE_TEXT,
        "hidden": true,
        "thread_ts": ts,
        "team": team.id(),
    });
    match tombstone {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn parsed(text: Option<&Text>) -> Option<Value> {
    serde_json::from_str(text?.as_str()).ok()
}

fn list(text: Option<&Text>) -> Option<Vec<Value>> {
    match parsed(text) {
        Some(Value::Array(items)) if !items.is_empty() => Some(items),
        _ => None,
    }
}

/// Attachments are numbered from 1 by the server, where they do not bring a number.
fn numbered(mut attachments: Vec<Value>) -> Value {
    for (attachment, number) in attachments.iter_mut().zip(1..) {
        if let Value::Object(attachment) = attachment {
            attachment.entry("id").or_insert_with(|| json!(number));
        }
    }
    Value::Array(attachments)
}
