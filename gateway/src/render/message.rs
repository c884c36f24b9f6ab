//! Messages as clients read them.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json, value::RawValue};
use teamlog_schemas::{ConversationId, ConversationKind, Message, Reaction, Text, Thread, Ts, UserId, subtype_in};
use teamlog_state::{MessageFact, Team};

use super::{AsText, extra_of};

/// The text of what is left of a deleted message that has replies.
pub const TOMBSTONE_TEXT: &str = "This message was deleted.";

/// A message by itself, without what hangs on it: what a `message` frame holds but for the channel.
///
/// What an import brought and nothing here understands is given back as it was. It can be written straight into what is
/// sent; where more is to be put into it, [`message`] has it as a value.
#[derive(Clone, Copy)]
pub struct Rendered<'a> {
    /// The team as it is.
    pub team: &'a Team,
    /// Where the message stands.
    pub conversation: ConversationId,
    /// The message.
    pub message: &'a Message,
}

/// A message by itself, as a value.
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
    if let Some(pin) = team.conversation(conversation).and_then(|c| c.pin(fact.message.ts)) {
        object.insert("pinned_to".to_owned(), json!([conversation]));
        object.insert("pinned_info".to_owned(), pinned_info(conversation, pin.by, pin.at));
    }
    Value::Object(object)
}

/// Where, by whom and when a message was pinned.
pub fn pinned_info(conversation: ConversationId, by: UserId, at: Ts) -> Value {
    json!({ "channel": conversation, "pinned_by": by, "pinned_ts": at.seconds() })
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

/// Adds the keys of a root about its thread. Adds nothing once no reply is left.
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

impl Rendered<'_> {
    /// As clients read it.
    pub fn subtype(&self) -> Option<String> {
        let Rendered { team, conversation, message } = self;
        let kind = || team.conversation(*conversation).map_or(ConversationKind::PublicChannel, |c| c.kind);
        match &message.subtype {
            Some(subtype) => Some(subtype_in(kind(), subtype)),
            None => (message.reply_broadcast && message.is_reply()).then(|| "thread_broadcast".to_owned()),
        }
    }
}

impl Serialize for Rendered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let mut object = Object { written: serializer.serialize_map(None)?, extra: extra_of(message.extra.as_ref()) };
        object.put("type", "message")?;
        object.put_some("subtype", self.subtype())?;
        object.put("ts", &AsText(message.ts))?;
        object.put_some("user", message.user)?;
        object.put_some("bot_id", message.bot)?;
        object.put("text", message.text.as_str())?;
        object.put_some("client_msg_id", message.client_msg_id.as_ref())?;
        object.put_some("username", message.username.as_ref().map(Text::as_str))?;
        object.put_some("icons", message.icons.as_ref().and_then(raw_object))?;
        object.put_some("blocks", message.blocks.as_ref().and_then(raw_list))?;
        object.put_some("attachments", message.attachments.as_ref().and_then(list).map(numbered))?;
        object.put_some("thread_ts", message.thread_ts.map(AsText))?;
        let edited = message.edited.map(|edited| json!({ "user": edited.user, "ts": edited.ts.to_string() }));
        object.put_some("edited", edited)?;
        object.end_with("team", &self.team.id())
    }
}

/// An object that is written key by key, and what an import brought behind it, where nothing says it better.
struct Object<M> {
    written: M,
    extra: Map<String, Value>,
}

impl<M: SerializeMap> Object<M> {
    fn put<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), M::Error> {
        self.extra.shift_remove(key);
        self.written.serialize_entry(key, value)
    }

    fn put_some<T: Serialize>(&mut self, key: &'static str, value: Option<T>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.put(key, &value))
    }

    /// Ends with what was brought, and with this key if that was not among it.
    fn end_with<T: Serialize>(mut self, key: &'static str, value: &T) -> Result<M::Ok, M::Error> {
        for (key, value) in &self.extra {
            self.written.serialize_entry(key, value)?;
        }
        if !self.extra.contains_key(key) {
            self.written.serialize_entry(key, value)?;
        }
        self.written.end()
    }
}

fn base(team: &Team, conversation: ConversationId, message: &Message) -> Map<String, Value> {
    match serde_json::to_value(Rendered { team, conversation, message }) {
        Ok(Value::Object(object)) => object,
        other => panic!("a message is an object, not {other:?}"),
    }
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

/// The JSON of a text as it is, if it is a list that is not empty.
fn raw_list(text: &Text) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_str(text.as_str()).ok()?;
    let inside = raw.get().strip_prefix('[')?;
    (!inside.trim_start().starts_with(']')).then_some(raw)
}

/// The JSON of a text as it is, if it is an object.
fn raw_object(text: &Text) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_str(text.as_str()).ok()?;
    raw.get().starts_with('{').then_some(raw)
}

fn list(text: &Text) -> Option<Vec<Value>> {
    serde_json::from_str(text.as_str()).ok().filter(|items: &Vec<Value>| !items.is_empty())
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
