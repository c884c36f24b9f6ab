//! The conversation that most of these methods take and answer with.

use serde_json::{Map, Value};
use teamlog_schemas::ConversationId;

use super::{Call, Key, Reply, Shape};
use crate::{ApiError, args::args, render};

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
pub(super) fn channel_reply(call: &Call<'_>, conversation: ConversationId) -> Result<Reply, ApiError> {
    Ok(channel_object(call, conversation)?.into())
}

pub(super) fn channel_object(call: &Call<'_>, conversation: ConversationId) -> Result<Map<String, Value>, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = team.conversation(conversation).ok_or(ApiError::outcome_unknown())?;
    Ok(Map::from_iter([("channel".to_owned(), render::conversation(&team, found, caller.user, None))]))
}
