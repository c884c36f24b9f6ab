//! A replica in a database.

use std::{collections::HashMap, path::Path, sync::Arc};

use teamlog_log::{Feed, Position, TopicPartition};
use teamlog_schemas::Event;

use super::{
    OneTeam, Verified, VerifyError,
    catch_up::{catch_up, newer_keys},
    compare::Comparison,
    rebuildable::{Fold, Rebuildable, of_team},
};
use crate::{
    db::{Replica, Schema, positions_of, read_positions},
    projector::Projector,
};

/// A replica of mains or of a shard.
#[derive(Clone)]
pub(crate) struct DatabaseReplica {
    pub(crate) replica: Replica,
    pub(crate) schema: &'static Schema,
    /// Makes a projector of this view for a replica: of all partitions, or only of a team's.
    pub(crate) projector: Arc<dyn Fn(Replica, Option<OneTeam>) -> Arc<dyn Projector> + Send + Sync>,
}

/// A generation, or a file beside the generations.
pub(crate) struct DatabaseFold {
    replica: Replica,
    projector: Arc<dyn Projector>,
}

impl DatabaseReplica {
    fn built_on(&self, replica: Replica, team: Option<OneTeam>) -> DatabaseFold {
        DatabaseFold { projector: (self.projector)(replica.clone(), team), replica }
    }
}

impl Fold for DatabaseFold {
    fn projector(&self) -> &dyn Projector {
        &*self.projector
    }

    async fn close(self) -> Result<(), VerifyError> {
        self.replica.close().await;
        Ok(())
    }
}

impl Rebuildable for DatabaseReplica {
    type Fold = DatabaseFold;

    fn name(&self) -> &str {
        self.replica.name()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        (self.projector)(self.replica.clone(), None).sources()
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, VerifyError> {
        Ok(positions_of(&self.replica).await?)
    }

    async fn current(&self) -> Result<u32, VerifyError> {
        Ok(self.replica.current_generation().await?)
    }

    async fn built(&self) -> Result<Option<u32>, VerifyError> {
        Ok(self.replica.built_generation().await?)
    }

    async fn mark_built(&self, generation: Option<u32>) -> Result<(), VerifyError> {
        Ok(self.replica.mark_built(generation).await?)
    }

    async fn switch(&self, generation: u32) -> Result<(), VerifyError> {
        Ok(self.replica.switch(generation).await?)
    }

    async fn remove(&self, generation: u32) -> Result<(), VerifyError> {
        Ok(self.replica.generation(generation).drop_generation(generation).await?)
    }

    async fn open(&self, generation: u32) -> Result<DatabaseFold, VerifyError> {
        Ok(self.built_on(self.replica.generation(generation), None))
    }

    async fn fold(&self, folder: &Path, team: Option<OneTeam>) -> Result<DatabaseFold, VerifyError> {
        let url = format!("sqlite://{}", folder.join("fold.db").display());
        let replica = Replica::open("fold", &url, self.schema)?;
        Ok(self.built_on(replica, team))
    }

    /// Most of the way first, the rest while the replica's snapshot is held open.
    async fn compare(
        &self,
        feed: &Feed<Event>,
        fold: &DatabaseFold,
        team: Option<OneTeam>,
    ) -> Result<Verified, VerifyError> {
        let offsets = |(source, position): (&TopicPartition, &Position)| (*source, position.offset);
        let about = of_team(read_positions(&mut self.replica.read().await?).await?, team);
        catch_up(feed, &*fold.projector, about.iter().map(offsets)).await?;
        let mut found = self.replica.read().await?;
        let exactly = of_team(read_positions(&mut found).await?, team);
        catch_up(feed, &*fold.projector, exactly.iter().map(offsets)).await?;
        let left_out = newer_keys(feed, &exactly).await?;
        let mut comparison = Comparison::new(team.map(|team| team.team), left_out);
        let mut expected = fold.replica.read().await?;
        let folded = read_positions(&mut expected).await?;
        for (source, position) in &exactly {
            comparison.positions(*source, *position, folded.get(source).copied().unwrap_or(Position::START));
        }
        for table in self.schema.tables.iter().filter(|table| !table.pruned) {
            comparison.table(table, &mut expected, &mut found).await?;
        }
        Ok(comparison.done(exactly))
    }
}
