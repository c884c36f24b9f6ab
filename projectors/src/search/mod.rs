//! The search view: messages in a tantivy index on this machine's disk, and the tail behind its last commit.
//!
//! ```text
//!   events --> SearchProjector --> gathered in memory --(10 s or 50,000 messages)--> one commit: documents, positions
//!                                                                                        |
//!   query  --> Search::query  --> what was committed, less what the tail changed  <------+
//!                             +-> what the tail posted or changed (feed.scan from the committed position)
//! ```
//!
//! The positions lie in the commit's payload, so they are durable with the documents or not at all. What is gathered
//! and not committed is read again from the log after a crash. A query takes one commit and scans the feed from that
//! very position, so it never matters how long ago the commit was: every message is found as it is now, and once.
//!
//! An index that is lost is built again from the log by its projector, and until it has come within a scan's reach
//! queries fail with [`SearchError::Feed`]. A rebuild makes another generation of it beside the current one.

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

/// Queries that run at once; the others wait for their turn, bounded by the calls that the gateway admits.
const QUERIES_AT_ONCE: usize = 4;

/// The search index. Cheap to clone.
#[derive(Clone)]
pub struct Search {
    open: Arc<OpenIndex>,
    dir: Arc<str>,
    turns: Arc<Semaphore>,
}

impl Search {
    /// Opens the current index in a directory, or makes it; blocks for a moment. One process may write to it: whoever
    /// commits first keeps the others out. Where another generation becomes the current one, it is gone over to. One of
    /// another schema is not used: queries fail until a generation of this one becomes the current one.
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

    /// Its projector, of which there must be one.
    pub fn projector(&self, partitions: impl IntoIterator<Item = Partition>) -> Arc<SearchProjector> {
        Arc::new(SearchProjector::new(self.open.clone(), self.dir.to_string(), partitions))
    }

    /// How far the last commit reaches in a partition of `events`; nowhere if the index is of another schema.
    pub fn committed(&self, partition: Partition) -> Position {
        let known = self.open.known();
        known.map_or(Position::START, |index| index.committed().position(TopicPartition::events(partition)))
    }

    /// Finds messages of a team that lies in `partition`: all that `feed` has read at the call, as they are then.
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
        // The tail is laid over the index itself, document by document, so it is not rows that are brought up to date here.
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
