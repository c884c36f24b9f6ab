//! Verify: every row against a fold of the log. Rebuild: a new generation beside the old one, then the switch.

mod catch_up;
mod compare;
mod database;
mod index;
mod rebuild;
mod rebuildable;
mod timed;

use std::{collections::BTreeMap, path::Path};

use teamlog_log::{Feed, FeedError, Offset, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use uuid::Uuid;

pub use compare::Difference;
pub(crate) use compare::{Comparison, cut};
pub(crate) use database::DatabaseReplica;
pub(crate) use index::IndexReplica;
pub use rebuild::{Rebuilt, Switched};
pub(crate) use rebuild::{rebuild, switch};
pub(crate) use rebuildable::{Fold, Rebuildable};
pub use timed::BuildTimes;
pub(crate) use timed::time_build;

use crate::{db::DbError, fingerprint::OtherSchema, projector::ProjectError, search::SearchError};

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Where both were compared.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// Rows that were looked at; of an index, messages.
    pub rows: u64,
    /// Rows that differ, are missing or should not be there.
    pub differing: u64,
    /// The first hundred of them.
    pub differences: Vec<Difference>,
}

/// A team, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTeam {
    /// The team.
    pub team: TeamId,
    /// Its partition of the log.
    pub partition: Partition,
}

/// Why a view could not be compared or built.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The view's database, or the one beside it.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The search index, or the one beside it.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The log.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// An event that counts and that this program cannot read.
    #[error("{source_partition} offset {offset}: {why}")]
    Undecodable {
        /// The source.
        source_partition: TopicPartition,
        /// Where.
        offset: Offset,
        /// The decoder's words.
        why: String,
    },
    /// The log gave nothing more before a place that it says it has.
    #[error("{source_partition} gave nothing more at offset {at}; {wanted} was to be reached")]
    Stalled {
        /// The source.
        source_partition: TopicPartition,
        /// How far it came.
        at: Offset,
        /// How far it should have come.
        wanted: Offset,
    },
    /// There is nothing to switch to.
    #[error("no new generation of {view} on {replica} is built")]
    NotBuilt {
        /// The view.
        view: String,
        /// The replica.
        replica: String,
    },
    /// The folder for the fold.
    #[error("the folder for the fold: {0}")]
    Scratch(#[from] std::io::Error),
}

impl VerifyError {
    /// The other schema that the view is of, if that is why.
    pub fn other_schema(&self) -> Option<&OtherSchema> {
        match self {
            VerifyError::Project(why) => why.other_schema(),
            VerifyError::Search(SearchError::OtherSchema(other)) => Some(other),
            VerifyError::Search(_)
            | VerifyError::Feed(_)
            | VerifyError::Undecodable { .. }
            | VerifyError::Stalled { .. }
            | VerifyError::NotBuilt { .. }
            | VerifyError::Scratch(_) => None,
        }
    }
}

impl From<DbError> for VerifyError {
    fn from(error: DbError) -> Self {
        VerifyError::Project(error.into())
    }
}

/// Compares every row of a replica with a fold of the log up to the very position of the replica. The fold is built in
/// a folder under `scratch`, which is gone afterwards. With `team` only that team's rows are compared.
pub(crate) async fn verify<R: Rebuildable>(
    feed: &Feed<Event>,
    replica: &R,
    team: Option<OneTeam>,
    scratch: &Path,
) -> Result<Verified, VerifyError> {
    let folder = scratch.join(format!("verify-{}", Uuid::now_v7()));
    tokio::fs::create_dir_all(&folder).await?;
    let compared = async {
        let fold = replica.fold(&folder, team).await?;
        let compared = replica.compare(feed, &fold, team).await;
        fold.close().await?;
        compared
    };
    let compared = compared.await;
    tokio::fs::remove_dir_all(&folder).await?;
    compared
}
