//! The search view: messages in a tantivy index on local disk, and the tail after its last commit.
//!
//! ```text
//!   events --> SearchProjector --> gathered in memory --(10 s or 50,000 messages)--> one commit: documents, positions
//!                                                                                        |
//!   query  --> Search::query  --> what was committed, less what the tail changed  <------+
//!                             +-> what the tail posted or changed (feed.scan from the committed position)
//! ```
//!
//! The positions are in the commit's payload, so they are durable with the documents or not at all. After a crash,
//! entries that were gathered and not committed are read from the log again. A query takes one commit and scans the feed
//! from that commit's position. So however old the commit is, every message is found in its newest state, and once.
//!
//! An index that is lost is built again from the log by its projector. Until a scan reaches back to its position,
//! queries fail with [`SearchError::Feed`]. A rebuild makes another generation beside the current one.

mod compare;
mod document;
mod error;
mod generations;
mod index;
mod open;
mod projector;
mod query;
mod words;

pub(crate) use compare::compare;
pub use error::SearchError;
pub(crate) use generations::Generations;
pub(crate) use open::OpenIndex;
pub use projector::SearchProjector;
pub use query::{Match, MatchOrder, Matches, MessageQuery};
pub use words::highlight;

use std::{path::Path, sync::Arc};

use document::Changes;
use teamlog_log::{Feed, Partition, Position, TopicPartition};
use teamlog_schemas::Event;
use tokio::sync::Semaphore;

/// The number of queries that run at once. The others wait; the gateway's limit on calls bounds how many.
const QUERIES_AT_ONCE: usize = 4;

/// The search index. Cheap to clone.
#[derive(Clone)]
pub struct Search {
    open: Arc<OpenIndex>,
    dir: Arc<str>,
    turns: Arc<Semaphore>,
}

impl Search {
    /// Opens the current index in a directory, or creates it; blocks for a moment. Only one process can write to it: the
    /// one that commits first holds the lock. When another generation becomes current, this switches to it. An index with
    /// another schema is not used: queries fail until a generation with this program's schema becomes current.
    ///
    /// # Errors
    /// [`SearchError::Index`] if it cannot be read.
    pub fn open(dir: &Path) -> Result<Search, SearchError> {
        Ok(Search {
            open: Arc::new(OpenIndex::open(dir)?),
            dir: dir.display().to_string().into(),
            turns: Arc::new(Semaphore::new(QUERIES_AT_ONCE)),
        })
    }

    /// Returns the index's projector. There must be only one.
    pub fn projector(&self, partitions: impl IntoIterator<Item = Partition>) -> Arc<SearchProjector> {
        Arc::new(SearchProjector::new(self.open.clone(), self.dir.to_string(), partitions))
    }

    /// Returns the last commit's position in a partition of `events`; the log's start if the index has another schema.
    pub fn committed(&self, partition: Partition) -> Position {
        let known = self.open.known();
        known.map_or(Position::START, |index| index.committed().position(TopicPartition::events(partition)))
    }

    /// Searches the messages of a team in `partition`, in their state after all that `feed` has read at the call.
    ///
    /// # Errors
    /// [`SearchError::Feed`] if the tail cannot be read, or the index lags further behind than a scan reaches;
    /// [`SearchError::Index`]; [`SearchError::OtherSchema`].
    pub async fn query(
        &self,
        feed: &Feed<Event>,
        partition: Partition,
        query: MessageQuery,
    ) -> Result<Matches, SearchError> {
        let gone = || SearchError::Index { dir: self.dir.to_string(), why: "stopped".to_owned() };
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| gone())?;
        let index = self.open.current().await?;
        let committed = index.committed();
        let source = TopicPartition::events(partition);
        let from = committed.position(source);
        // The query itself applies the tail to the index's documents, so no rows are updated here.
        let entries = feed.scan(source, from).await?;
        let end = entries.last().map_or(from, |entry| entry.after).offset;
        let find = move || {
            let _turn = turn;
            let mut tail = Changes::default();
            let events = entries.iter().filter_map(|entry| entry.event());
            let found = events
                .filter(|event| event.team() == Some(query.team))
                .try_for_each(|event| tail.apply(event, |name| committed.document(&index.fields, name)));
            let found = found.and_then(|()| query::find(&committed, &index.fields, &tail, &query));
            found.map(|found| query::Matches { end, ..found }).map_err(|why| index.wrong(&why))
        };
        tokio::task::spawn_blocking(find).await.map_err(|_| gone())?
    }
}
