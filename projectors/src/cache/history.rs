//! The newest page of a conversation, from the cache while the tail bridges what came since.

use std::sync::Arc;

use teamlog_log::{Feed, Partition, Position, TopicPartition};
use teamlog_schemas::{ConversationId, Event, TeamId, Ts};
use teamlog_state::{At, MessageFact, SourceError};

use super::{Cache, Cached};
use crate::shards::{HistoryPage, Shards};

/// The number of messages in a cached page: Slack's default of 100, and one more that shows whether there are others.
const PAGE: usize = 128;
/// The maximum lag of a cached page, in records of the tail. Past it, the caller's overlay costs more than a query.
const BEHIND_MAX: u64 = 1_024;

/// Pages of conversations. Cheap to clone.
#[derive(Clone)]
pub struct History {
    shards: Shards,
    cache: Arc<dyn Cache>,
    feed: Feed<Event>,
}

impl History {
    /// Pages from the cache where it has them, else from the shards.
    pub fn new(shards: Shards, cache: Arc<dyn Cache>, feed: Feed<Event>) -> History {
        History { shards, cache, feed }
    }

    /// A page as [`Shards::history`] gives it, of a team in `partition`. Its position may be older than the shard's;
    /// the feed's ring reaches back to it.
    ///
    /// # Errors
    /// If it is not in the cache and no replica answers, or one holds what cannot be.
    pub async fn page(
        &self,
        shard: &str,
        team: TeamId,
        partition: Partition,
        conversation: ConversationId,
        page: &HistoryPage,
    ) -> Result<At<Position, Vec<MessageFact>>, SourceError> {
        let is_newest = page.newest_first && page.replies_of.is_none() && page.oldest == Ts::ZERO;
        if !is_newest || page.latest != Ts::MAX || page.limit > PAGE {
            return self.shards.history(shard, team, conversation, page).await;
        }
        // A shard may have been rebuilt because it was wrong. A new key leaves pages of the old generation unused.
        let key = format!("h2/{}/{team}/{conversation}", self.shards.generations(shard));
        let source = TopicPartition::events(partition);
        if let Some(mut at) = self.cached(&key, source).await {
            metrics::counter!("teamlog_cache_hits_total").increment(1);
            at.rows.truncate(page.limit);
            return Ok(at);
        }
        metrics::counter!("teamlog_cache_misses_total").increment(1);
        let newest = HistoryPage { limit: PAGE, ..HistoryPage::default() };
        let mut at = self.shards.history(shard, team, conversation, &newest).await?;
        if let Ok(value) = serde_json::to_vec(&at.rows) {
            self.cache.set_if_newer(&key, Cached { position: at.position, value: value.into() }).await;
        }
        at.rows.truncate(page.limit);
        Ok(at)
    }

    async fn cached(&self, key: &str, source: TopicPartition) -> Option<At<Position, Vec<MessageFact>>> {
        let item = self.cache.get(key).await?;
        let now = self.feed.position(source);
        if item.position.offset > now.offset {
            // Another node's, or this one's before it was started: this one has not read so far yet.
            return None;
        }
        let is_near = now.offset.0 - item.position.offset.0 <= BEHIND_MAX;
        let is_bridged = is_near && self.feed.reaches_back(source, &item.position);
        let rows: Option<Vec<MessageFact>> = serde_json::from_slice(&item.value).ok();
        let Some(rows) = rows.filter(|_| is_bridged) else {
            // Of another log, of another version, or too old: never to be newer than what is put there next.
            self.cache.delete(key).await;
            return None;
        };
        Some(At { position: item.position, rows })
    }
}
