//! The [`Projector`] trait: applies log entries to one view on one replica. The runner drives it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use teamlog_log::{Entry, Position, TopicPartition};
use teamlog_schemas::Event;

use crate::{db::DbError, fingerprint::OtherSchema, search::SearchError};

/// Entries of several sources. Each source's entries are in log order, without gaps.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The entries that were read, including void records and claims.
    pub entries: Vec<Arc<Entry<Event>>>,
    /// For each source with entries in this batch, its positions before the first and after the last entry.
    pub moved: HashMap<TopicPartition, (Position, Position)>,
}

impl Batch {
    /// Adds entries of one source, whose position before them was `from`.
    pub fn extend(&mut self, source: TopicPartition, from: Position, entries: Vec<Arc<Entry<Event>>>) {
        let Some(to) = entries.last().map(|last| last.after) else { return };
        self.moved.entry(source).and_modify(|(_, end)| *end = to).or_insert((from, to));
        self.entries.extend(entries);
    }

    /// Removes all sources except `these`.
    pub(crate) fn keep(&mut self, these: &BTreeSet<TopicPartition>) {
        self.entries.retain(|entry| these.contains(&entry.source));
        self.moved.retain(|source, _| these.contains(source));
    }
}

/// Why a projector could not go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProjectError {
    /// Its database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Its search index.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Anything else that it writes to, in its own words.
    #[error("{0}")]
    Other(String),
}

impl ProjectError {
    /// Returns the other schema that the view has, if that is the reason for this error.
    pub fn other_schema(&self) -> Option<&OtherSchema> {
        match self {
            ProjectError::Db(DbError::OtherSchema(other)) | ProjectError::Search(SearchError::OtherSchema(other)) => {
                Some(other)
            }
            ProjectError::Db(_) | ProjectError::Search(_) | ProjectError::Other(_) => None,
        }
    }

    /// True if another process writes this view too, and nothing else is wrong. The caller reads the view's positions again
    /// and continues from there.
    pub fn is_contention(&self) -> bool {
        matches!(self, ProjectError::Db(DbError::Overtaken(_) | DbError::Contended { .. }))
    }
}

/// A view on one replica, to which batches of log entries are applied.
#[async_trait]
pub trait Projector: Send + Sync + 'static {
    /// The view, as `shard s1`, `mains`, `search`.
    fn name(&self) -> &str;

    /// The replica's name, without credentials.
    fn replica(&self) -> &str;

    /// The sources that the view reads.
    fn sources(&self) -> Vec<TopicPartition>;

    /// Returns the durable position in each source. A source without an entry has not been started.
    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError>;

    /// Returns the generation of the view that this projector writes to. The runner calls this every second, so that it
    /// switches to a rebuilt generation also while no entries arrive.
    async fn generation(&self) -> Result<u32, ProjectError>;

    /// Applies a batch. After an error either none or all of the batch was applied: the runner reads the positions again.
    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError>;

    /// Makes durable what was applied and is not durable yet. No other call follows.
    async fn close(&self) {}
}
