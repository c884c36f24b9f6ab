//! The reads of calls: rows of the shards, caught up to the live team by [`teamlog_live::bridge`].

mod history;
mod index;
mod overlay;
mod remote_index;
mod scheduled;
mod search;
mod unread;

pub use history::{Page, Paged, history, message, pinned, replies};
pub use index::{LocalIndex, MessageIndex};
pub use remote_index::{RemoteIndex, SEARCH_PATH, Searchers};
pub(crate) use remote_index::{SEARCH_VERSION, SearchAnswer, SearchRequest};
pub use scheduled::{ScheduledPage, scheduled};
pub use search::{SearchFound, SearchHit, search};
pub use unread::unread;
pub(crate) use unread::unread_and;

use teamlog_live::TeamGuard;
use teamlog_schemas::{ConversationId, UserId};

use crate::ApiError;

/// Rejects a conversation that the user may not read with the error of one that does not exist.
fn readable(team: &TeamGuard<'_>, user: UserId, conversation: ConversationId) -> Result<(), ApiError> {
    if team.may_read(user, conversation) { Ok(()) } else { Err(ApiError::refused("channel_not_found")) }
}
