//! What the runner runs: one view on one replica.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use teamlog_log::{Entry, Position, TopicPartition};
use teamlog_schemas::Event;

use crate::{db::DbError, fingerprint::OtherSchema, search::SearchError};

/// Entries of several sources, each source's in log order and without a hole.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What was read, void records and claims included.
    pub entries: Vec<Arc<Entry<Event>>>,
    /// Each source that moved: from which position to which.
    pub moved: HashMap<TopicPartition, (Position, Position)>,
}

impl Batch {
    /// Adds entries of one source that stood at `from`.
    pub fn extend(&mut self, source: TopicPartition, from: Position, entries: Vec<Arc<Entry<Event>>>) {
        let Some(to) = entries.last().map(|last| last.after) else { return };
        self.moved.entry(source).and_modify(|(_, end)| *end = to).or_insert((from, to));
        self.entries.extend(entries);
    }

    /// Takes out all but these sources.
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
    /// The other schema that the view is of, if that is why.
    pub fn other_schema(&self) -> Option<&OtherSchema> {
        match self {
            ProjectError::Db(DbError::OtherSchema(other)) | ProjectError::Search(SearchError::OtherSchema(other)) => {
                Some(other)
            }
            ProjectError::Db(_) | ProjectError::Search(_) | ProjectError::Other(_) => None,
        }
    }

    /// Whether all that happened is that another process writes this view too: the view's positions say where to go on.
    pub fn is_contention(&self) -> bool {
        matches!(self, ProjectError::Db(DbError::Overtaken(_) | DbError::Contended { .. }))
    }
}

/// One view on one replica.
#[async_trait]
pub trait Projector: Send + Sync + 'static {
    /// The view, as `shard s1`, `mains`, `search`.
    fn name(&self) -> &str;

    /// Which copy of it, without credentials.
    fn replica(&self) -> &str;

    /// What it reads.
    fn sources(&self) -> Vec<TopicPartition>;

    /// How far it has come, durably, in each source; one that is missing has not begun.
    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError>;

    /// Which generation of the view it writes to. It is looked for each second, so that a rebuilt one is gone over to
    /// also while nothing happens.
    async fn generation(&self) -> Result<u32, ProjectError>;

    /// Applies a batch. After an error nothing may have been applied, or all: the runner asks for the positions anew.
    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError>;

    /// The last call of all: what was applied and is not durable yet is made so.
    async fn close(&self) {}
}
