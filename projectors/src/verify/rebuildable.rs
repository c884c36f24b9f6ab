//! The operations that verify and rebuild need from a replica, whether it is a database or an index.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use teamlog_log::{Feed, Position, TopicPartition};
use teamlog_schemas::Event;

use super::{OneTeam, Verified, VerifyError};
use crate::projector::Projector;

/// A replica of a view, with its generations side by side.
pub(crate) trait Rebuildable: Sync {
    /// A generation that is being built, or a fold of the log to compare with.
    type Fold: Fold;

    /// The replica's name, without credentials.
    fn name(&self) -> &str;

    /// The sources that the view reads.
    fn sources(&self) -> Vec<TopicPartition>;

    /// Returns the positions of the current generation.
    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, VerifyError>;

    /// Returns the current generation.
    async fn current(&self) -> Result<u32, VerifyError>;

    /// Returns the generation that is complete but not current yet, if there is one.
    async fn built(&self) -> Result<Option<u32>, VerifyError>;

    /// Records which generation is complete, or that none is.
    async fn mark_built(&self, generation: Option<u32>) -> Result<(), VerifyError>;

    /// Makes a generation current, for every process, and clears the note of [`Rebuildable::mark_built`]. A database does
    /// both in one transaction. An index clears the note afterwards, so a crash between may leave it.
    async fn switch(&self, generation: u32) -> Result<(), VerifyError>;

    /// Removes a generation, if there is anything of it.
    async fn remove(&self, generation: u32) -> Result<(), VerifyError>;

    /// Opens a generation to apply entries to it.
    async fn open(&self, generation: u32) -> Result<Self::Fold, VerifyError>;

    /// Makes a new fold in a folder; only of a team's partition if a team is given.
    async fn fold(&self, folder: &Path, team: Option<OneTeam>) -> Result<Self::Fold, VerifyError>;

    /// Catches a fold up to the current generation's positions, and compares the two there.
    async fn compare(
        &self,
        feed: &Feed<Event>,
        fold: &Self::Fold,
        team: Option<OneTeam>,
    ) -> Result<Verified, VerifyError>;
}

/// A copy of a view that is built from the log outside of the runner.
pub(crate) trait Fold: Send + Sync {
    /// The projector that applies entries to the fold.
    fn projector(&self) -> &dyn Projector;

    /// Makes durable what was applied, and releases the fold.
    async fn close(self) -> Result<(), VerifyError>;
}

/// Selects the positions to compare at. For one team: the directory and the team's own partition.
pub(super) fn of_team(
    positions: HashMap<TopicPartition, Position>,
    team: Option<OneTeam>,
) -> BTreeMap<TopicPartition, Position> {
    let is_asked = |source: &TopicPartition| {
        team.is_none_or(|team| *source == TopicPartition::DIRECTORY || source.partition == team.partition)
    };
    positions.into_iter().filter(|(source, _)| is_asked(source)).collect()
}
