//! Verify: every row against a fold of the log. Rebuild: a new generation beside the old one, then the switch.

mod catch_up;
mod compare;
mod rebuild;

use std::{collections::BTreeMap, path::Path};

use teamlog_log::{Feed, FeedError, Offset, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use uuid::Uuid;

pub use compare::Difference;
pub use rebuild::{Rebuilt, rebuild};

use self::{
    catch_up::{catch_up, newer_keys},
    compare::Comparison,
};
use crate::{
    db::{DbError, Replica, read_positions},
    projector::ProjectError,
    view::View,
};

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Where both were compared.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// Rows that were looked at.
    pub rows: u64,
    /// Rows that differ, are missing or should not be there.
    pub differing: u64,
    /// The first hundred of them.
    pub differences: Vec<Difference>,
}

/// Why a view could not be compared or built.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The view's database, or the one beside it.
    #[error(transparent)]
    Project(#[from] ProjectError),
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
    /// The folder for the fold.
    #[error("the folder for the fold: {0}")]
    Scratch(#[from] std::io::Error),
}

impl From<DbError> for VerifyError {
    fn from(error: DbError) -> Self {
        VerifyError::Project(error.into())
    }
}

/// Compares every row of a view's replica with a fold of the log up to the very position of the replica. The fold is
/// built in a database file under `scratch`, which is gone afterwards. With `team` only that team's rows are compared.
///
/// # Errors
/// If the log or the replica does not answer; a difference is no error.
pub async fn verify(
    feed: &Feed<Event>,
    view: &View,
    replica: &Replica,
    team: Option<TeamId>,
    scratch: &Path,
) -> Result<Verified, VerifyError> {
    let folder = scratch.join(format!("verify-{}", Uuid::now_v7()));
    tokio::fs::create_dir_all(&folder).await?;
    let done = fold_and_compare(feed, view, replica, team, &folder).await;
    tokio::fs::remove_dir_all(&folder).await?;
    done
}

async fn fold_and_compare(
    feed: &Feed<Event>,
    view: &View,
    replica: &Replica,
    team: Option<TeamId>,
    folder: &Path,
) -> Result<Verified, VerifyError> {
    let fold = Replica::open(&format!("sqlite://{}", folder.join("fold.db").display()), view.schema())?;
    let done = compare_at_once(feed, view, &fold, replica, team).await;
    fold.close().await;
    done
}

/// Brings `fold` to where `replica` stands, and compares the two there: most of the way first, the rest while the
/// replica's snapshot is held open.
async fn compare_at_once(
    feed: &Feed<Event>,
    view: &View,
    fold: &Replica,
    replica: &Replica,
    team: Option<TeamId>,
) -> Result<Verified, VerifyError> {
    let projector = view.projector(fold.clone());
    let about = read_positions(&mut replica.read().await?).await?;
    catch_up(feed, &*projector, &about).await?;
    let mut found = replica.read().await?;
    let exactly = read_positions(&mut found).await?;
    catch_up(feed, &*projector, &exactly).await?;
    let mut comparison = Comparison::new(team, newer_keys(feed, &exactly).await?);
    let mut expected = fold.read().await?;
    let folded = read_positions(&mut expected).await?;
    for (source, position) in &exactly {
        comparison.positions(*source, *position, folded.get(source).copied().unwrap_or(Position::START));
    }
    for table in view.schema().tables.iter().filter(|table| !table.pruned) {
        comparison.table(table, &mut expected, &mut found).await?;
    }
    Ok(comparison.done(exactly))
}
