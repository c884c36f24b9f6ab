//! `conversations.*`

pub(super) mod change;
pub(super) mod history;
pub(super) mod members;
pub(super) mod read;

use serde_json::{Map, Value};
use teamlog_schemas::ConversationId;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, paging, takes, write};
use crate::{ApiError, args::args, render};

pub(super) const METHODS: &[Method] = &[
    change::ARCHIVE,
    change::CREATE,
    change::RENAME,
    change::SET_PURPOSE,
    change::SET_TOPIC,
    change::UNARCHIVE,
    history::HISTORY,
    history::REPLIES,
    members::CLOSE,
    members::INVITE,
    members::JOIN,
    members::KICK,
    members::LEAVE,
    members::OPEN,
    read::INFO,
    read::LIST,
    read::MARK,
    read::MEMBERS,
];

/// The key of answers that hold a conversation.
pub(super) const CHANNEL: Key = Key::always("channel", Shape::Object, "The conversation, as the caller sees it.");

args! {
    /// A conversation.
    pub(super) struct Channel {
        /// The conversation.
        channel: ConversationId,
    }
}

/// Answers with a conversation that the call has changed, as the caller sees it now.
fn channel_reply(call: &Call<'_>, conversation: ConversationId) -> Result<Reply, ApiError> {
    Ok(channel_object(call, conversation)?.into())
}

fn channel_object(call: &Call<'_>, conversation: ConversationId) -> Result<Map<String, Value>, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = team.conversation(conversation).ok_or(ApiError::outcome_unknown())?;
    Ok(Map::from_iter([("channel".to_owned(), render::conversation(&team, found, caller.user, None))]))
}
