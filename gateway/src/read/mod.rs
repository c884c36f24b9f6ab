//! Reading = view at X + tail: rows as of a position, brought up to date by the events behind it.

mod history;
mod index;
mod overlay;
mod remote_index;
mod search;
mod unread;

pub use history::{Page, Paged, history, message, replies};
pub use index::{IndexReader, LocalIndex, MessageIndex};
pub use remote_index::{LinkError, RemoteIndex, SEARCH_PATH, SearchLink, Searchers};
pub(crate) use remote_index::{SEARCH_VERSION, SearchAnswer, SearchRequest};
pub use search::{SearchFound, SearchHit, SearchOrder, SearchQuery, SearchReader};
pub use unread::unread;
pub(crate) use unread::unread_and;

use std::sync::Arc;

use teamlog_live::{LiveTeam, TeamGuard};
use teamlog_log::{Entry, Offset, Position, TopicPartition};
use teamlog_schemas::{ConversationId, Event, UserId};

use crate::{ApiError, Gateway};

/// The entries that rows as of `from` have not seen, up to the counted team, and that team: whoever may see something
/// is judged at the very position that is read.
async fn tail<'a>(
    gateway: &Gateway,
    team: &'a LiveTeam,
    from: Position,
) -> Result<(Vec<Arc<Entry<Event>>>, TeamGuard<'a>), ApiError> {
    // A shard may be ahead of the teams here: both read the same log at their own pace.
    gateway.ingest().teams().wait_for(team.partition(), from.offset).await?;
    let entries = gateway.feed().scan(TopicPartition::events(team.partition()), from).await?;
    let guard = team.read();
    let end: Offset = guard.position().offset;
    Ok((entries.into_iter().filter(|entry| entry.offset < end).collect(), guard))
}

/// Nobody learns of a conversation that they may not read.
fn readable(team: &TeamGuard<'_>, user: UserId, conversation: ConversationId) -> Result<(), ApiError> {
    if team.may_read(user, conversation) { Ok(()) } else { Err(ApiError::refused("channel_not_found")) }
}

/// The events of one team among a partition's entries.
fn of_team<'a>(entries: &'a [Arc<Entry<Event>>], team: &LiveTeam) -> impl Iterator<Item = &'a Arc<Event>> {
    let id = team.id();
    entries.iter().filter_map(|entry| entry.event()).filter(move |event| event.team() == Some(id))
}
