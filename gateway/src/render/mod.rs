//! From the team's state to the JSON that clients read. Pure functions: no I/O, nothing is looked up elsewhere.

mod conversation;
mod message;
mod team;
mod timezone;
mod user;

pub use conversation::{Reader, conversation, legacy_conversation, members, name_of};
pub use message::{Rendered, TOMBSTONE_TEXT, message, message_fact, pinned_info, reactions, reply, thread_keys};
pub use team::{own_self, self_prefs, team, team_prefs};
pub use user::{bot, bot_id_of, color, user, user_bot};

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use teamlog_schemas::Text;

/// A value that is serialized as its `Display` text, such as a `ts`.
pub(crate) struct AsText<T>(pub(crate) T);

impl<T: Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Parses the object that an import brought. Returns an empty one if the text is no object.
fn extra_of(extra: Option<&Text>) -> Map<String, Value> {
    match extra.and_then(|extra| serde_json::from_str(extra.as_str()).ok()) {
        Some(Value::Object(extra)) => extra,
        _ => Map::new(),
    }
}

/// Adds what an import brought, where nothing here says it better.
fn merge_extra(object: &mut Map<String, Value>, extra: Option<&Text>) {
    for (key, value) in extra_of(extra) {
        object.entry(key).or_insert(value);
    }
}
