//! The directory's projector.

use std::collections::HashMap;

use async_trait::async_trait;
use teamlog_log::{Body, Position, TopicPartition};
use teamlog_schemas::Event;
use teamlog_state::DirectoryEntry;

use super::tables;
use crate::{
    db::{Cell, Cells, Replica, advance, positions_of},
    projector::{Batch, ProjectError, Projector},
};

/// Projects the topic `directory` to one replica.
pub struct MainsProjector {
    replica: Replica,
}

impl MainsProjector {
    /// The projector of one replica.
    pub fn new(replica: Replica) -> MainsProjector {
        MainsProjector { replica }
    }
}

#[async_trait]
impl Projector for MainsProjector {
    fn name(&self) -> &str {
        crate::names::MAINS
    }

    fn replica(&self) -> &str {
        self.replica.name()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        vec![TopicPartition::DIRECTORY]
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError> {
        Ok(positions_of(&self.replica).await?)
    }

    async fn generation(&self) -> Result<u32, ProjectError> {
        Ok(self.replica.current_generation().await?)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        let (mut teams, mut cluster): (Vec<Cells>, Vec<Cells>) = (Vec::new(), Vec::new());
        for entry in &batch.entries {
            let Body::Event(event) = &entry.body else { continue };
            if let (Event::ClusterFounded(_), Ok(bytes)) = (&**event, event.encode()) {
                cluster.push(vec![Cell::Int(0), Cell::Bytes(bytes.to_vec())]);
            }
            teams.extend(DirectoryEntry::of(event, entry.offset.0).map(|team| {
                vec![
                    team.domain.as_str().into(),
                    team.team.into(),
                    team.name.as_str().into(),
                    team.partition.into(),
                    team.shard.as_str().into(),
                    team.offset.into(),
                ]
            }));
        }
        let mut tx = self.replica.write().await?;
        for (source, (from, to)) in &batch.moved {
            advance(&mut tx, *source, *from, *to).await?;
        }
        // The first one counts, of domains and of foundings.
        tx.insert_new(&tables::TEAMS, teams).await?;
        tx.insert_new(&tables::CLUSTER, cluster).await?;
        tx.commit().await?;
        Ok(())
    }
}
