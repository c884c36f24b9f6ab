//! What verify and rebuild ask of a replica, whatever it lies in.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use teamlog_log::{Feed, Position, TopicPartition};
use teamlog_schemas::Event;

use super::{OneTeam, Verified, VerifyError};
use crate::projector::Projector;

/// A replica of a view, and the generations of it that lie side by side.
pub(crate) trait Rebuildable: Sync {
    /// A generation that is being built, or a fold that is made to compare with.
    type Fold: Fold;

    /// What people know it by: no credentials.
    fn name(&self) -> &str;

    /// What it reads.
    fn sources(&self) -> Vec<TopicPartition>;

    /// How far the current generation has come.
    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, VerifyError>;

    /// The current generation.
    async fn current(&self) -> Result<u32, VerifyError>;

    /// One that is complete and was not switched to yet.
    async fn built(&self) -> Result<Option<u32>, VerifyError>;

    /// Says which one is complete, or that none is.
    async fn mark_built(&self, generation: Option<u32>) -> Result<(), VerifyError>;

    /// Makes one the current one, for every process that looks, in one step that also unsays that it is built.
    async fn switch(&self, generation: u32) -> Result<(), VerifyError>;

    /// Removes a generation, if there is anything of it.
    async fn remove(&self, generation: u32) -> Result<(), VerifyError>;

    /// A generation to be built on.
    async fn open(&self, generation: u32) -> Result<Self::Fold, VerifyError>;

    /// A new fold in a folder, of a team's partition alone if one is given.
    async fn fold(&self, folder: &Path, team: Option<OneTeam>) -> Result<Self::Fold, VerifyError>;

    /// Brings a fold to where the current generation stands, and compares the two there.
    async fn compare(
        &self,
        feed: &Feed<Event>,
        fold: &Self::Fold,
        team: Option<OneTeam>,
    ) -> Result<Verified, VerifyError>;
}

/// What is built from the log outside of the runner.
pub(crate) trait Fold: Send + Sync {
    /// What applies events to it.
    fn projector(&self) -> &dyn Projector;

    /// Makes durable what was applied, and lets go of it.
    async fn close(self) -> Result<(), VerifyError>;
}

/// Where a comparison takes place: of one team, only its own partition.
pub(super) fn of_team(
    positions: HashMap<TopicPartition, Position>,
    team: Option<OneTeam>,
) -> BTreeMap<TopicPartition, Position> {
    let is_asked = |source: &TopicPartition| {
        team.is_none_or(|team| *source == TopicPartition::DIRECTORY || source.partition == team.partition)
    };
    positions.into_iter().filter(|(source, _)| is_asked(source)).collect()
}
