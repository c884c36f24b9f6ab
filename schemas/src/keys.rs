//! Keys of records in compacted topics: the newest record of a key is the one that lasts.

use uuid::Uuid;

use crate::{ConversationId, TeamId, UserId};

/// The key of `marks`: how far one person has read one conversation.
pub fn mark_key(team: TeamId, user: UserId, conversation: ConversationId) -> String {
    format!("{team}/{user}/{conversation}")
}

/// The key of `credentials`: one sealed password of one person.
pub fn credential_key(team: TeamId, user: UserId, credential_id: Uuid) -> String {
    format!("{team}/{user}/{credential_id}")
}
