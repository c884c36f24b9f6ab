//! Indexes that find the names of messages for a query: that of this process, or those of search nodes.

use async_trait::async_trait;
use teamlog_log::{Feed, Offset, Partition, TopicPartition};
use teamlog_projectors::{Matches, MessageQuery, Search};
use teamlog_schemas::Event;
use teamlog_state::SourceError;

/// Names of messages.
#[async_trait]
pub trait MessageIndex: Send + Sync + 'static {
    /// Finds messages of a partition. The result reflects at least everything below `at_least`. An index does not check
    /// permissions; the query must.
    ///
    /// # Errors
    /// If there is no answer in time, or none that reflects `at_least`.
    async fn find(&self, partition: Partition, at_least: Offset, query: MessageQuery) -> Result<Matches, SourceError>;
}

/// The index of this process, with the tail out of its feed.
pub struct LocalIndex {
    search: Search,
    feed: Feed<Event>,
}

impl LocalIndex {
    /// An index that is built from `feed`.
    pub fn new(search: Search, feed: Feed<Event>) -> LocalIndex {
        LocalIndex { search, feed }
    }
}

#[async_trait]
impl MessageIndex for LocalIndex {
    async fn find(&self, partition: Partition, at_least: Offset, query: MessageQuery) -> Result<Matches, SourceError> {
        let reached = self.feed.wait_for(TopicPartition::events(partition), at_least).await;
        reached.map_err(|why| away(&why))?;
        self.search.query(&self.feed, partition, query).await.map_err(|why| {
            tracing::warn!(%why, "search does not answer");
            away(&why)
        })
    }
}

pub(super) fn away(why: &impl ToString) -> SourceError {
    SourceError::Away { shard: "search".to_owned(), why: why.to_string() }
}
