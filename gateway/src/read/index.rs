//! Search as the gateway asks for it: names from an index, and the messages themselves from rows and tail.

use std::sync::Arc;

use async_trait::async_trait;
use teamlog_ingest::Ingest;
use teamlog_log::{Feed, Offset, Partition, TopicPartition};
use teamlog_projectors::{MatchOrder, Matches, MessageQuery, Search, Shards};
use teamlog_schemas::{Event, TeamId, UserId};
use teamlog_state::{Facts, FactsWanted, SourceError, TeamSource};

use super::{SearchFound, SearchHit, SearchOrder, SearchQuery, SearchReader, of_team};

/// Where the names of messages come from: the index of this process, or those of search nodes.
#[async_trait]
pub trait MessageIndex: Send + Sync + 'static {
    /// Finds messages of a partition, at least all below `at_least`, as they are then. Permission is not known there.
    ///
    /// # Errors
    /// If there is no answer in time, or none that reaches so far.
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

/// Reads names from an index, and what they name from rows and tail.
pub struct IndexReader {
    index: Arc<dyn MessageIndex>,
    ingest: Ingest,
    shards: Shards,
}

impl IndexReader {
    /// The reader of this process's index, which is built from the feed of `ingest`.
    pub fn new(search: Search, ingest: Ingest, shards: Shards) -> IndexReader {
        let index = Arc::new(LocalIndex::new(search, ingest.teams().feed().clone()));
        IndexReader::over(index, ingest, shards)
    }

    /// The reader of any index.
    pub fn over(index: Arc<dyn MessageIndex>, ingest: Ingest, shards: Shards) -> IndexReader {
        IndexReader { index, ingest, shards }
    }

    async fn names(&self, partition: Partition, team: TeamId, query: SearchQuery) -> Result<Matches, SourceError> {
        let order = match query.order {
            SearchOrder::Score => MatchOrder::Score,
            SearchOrder::Newest => MatchOrder::Newest,
            SearchOrder::Oldest => MatchOrder::Oldest,
        };
        let query = MessageQuery {
            team,
            words: query.words,
            conversations: query.conversations,
            from: query.from,
            has: query.has,
            after: query.after,
            before: query.before,
            order,
            skip: query.skip,
            count: query.count,
        };
        // What was acknowledged here has been read here.
        let at_least = self.ingest.teams().feed().position(TopicPartition::events(partition)).offset;
        self.index.find(partition, at_least, query).await
    }
}

pub(super) fn away(why: &impl ToString) -> SourceError {
    SourceError::Away { shard: "search".to_owned(), why: why.to_string() }
}

#[async_trait]
impl SearchReader for IndexReader {
    async fn search(&self, team: TeamId, reader: UserId, query: SearchQuery) -> Result<SearchFound, SourceError> {
        let teams = self.ingest.teams();
        let live = self.ingest.team(team).await.map_err(|why| away(&why))?;
        let partition = live.partition();
        let found = self.names(partition, team, query).await?;
        if found.hits.is_empty() {
            return Ok(SearchFound { total: found.total, hits: Vec::new() });
        }
        let shard = live.read().shard().to_owned();
        let messages = found.hits.iter().map(|hit| (hit.conversation, hit.ts)).collect();
        let wanted = FactsWanted { messages, ..FactsWanted::default() };
        let at = self.shards.facts(&shard, team, std::slice::from_ref(&wanted)).await?;
        teams.wait_for(partition, at.position.offset).await.map_err(|why| away(&why))?;
        let entries = teams.feed().scan(TopicPartition::events(partition), at.position).await;
        let mut entries = entries.map_err(|why| away(&why))?;
        let mut facts: Facts = at.rows.into_iter().next().unwrap_or_default();
        // Who may read what is judged at the position that the messages are read at.
        let team_now = live.read();
        let end = team_now.position().offset;
        entries.retain(|entry| entry.offset < end);
        for name in wanted.messages {
            facts.messages.entry(name).or_insert(None);
        }
        for event in of_team(&entries, &live) {
            facts.apply(event);
        }
        let mut hits = Vec::with_capacity(found.hits.len());
        for hit in &found.hits {
            let fact = facts.messages.remove(&(hit.conversation, hit.ts)).flatten();
            let fact = fact.filter(|fact| !fact.tombstone && team_now.may_read(reader, hit.conversation));
            hits.extend(fact.map(|fact| SearchHit { conversation: hit.conversation, fact, score: hit.score }));
        }
        // What went away while this was read is not counted either.
        let gone = found.hits.len() - hits.len();
        Ok(SearchFound { total: found.total.saturating_sub(gone), hits })
    }
}
