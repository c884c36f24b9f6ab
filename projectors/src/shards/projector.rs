//! A shard's projector: one batch, one transaction.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use teamlog_log::{Partition, Position, Topic, TopicPartition};

use super::{fold::Fold, reader::Shards, tables::prune};
use crate::{
    db::{Replica, advance, positions_of},
    projector::{Batch, ProjectError, Projector},
};

/// The number of batches after which old keyed writes are deleted.
const PRUNE_EVERY: u64 = 256;

/// Projects the partitions of one shard to one replica.
pub struct ShardProjector {
    name: String,
    shard: String,
    replica: Replica,
    sources: Vec<TopicPartition>,
    batches: AtomicU64,
}

impl ShardProjector {
    /// The projector of shard `shard`, which has these partitions.
    pub fn new(shard: &str, partitions: impl IntoIterator<Item = Partition>, replica: Replica) -> ShardProjector {
        let sources = partitions.into_iter().flat_map(|partition| {
            [Topic::Events, Topic::Marks, Topic::Credentials].map(|topic| TopicPartition { topic, partition })
        });
        ShardProjector {
            name: crate::names::shard(shard),
            shard: shard.to_owned(),
            replica,
            sources: sources.collect(),
            batches: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl Projector for ShardProjector {
    fn name(&self) -> &str {
        &self.name
    }

    fn replica(&self) -> &str {
        self.replica.name()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        self.sources.clone()
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError> {
        Ok(positions_of(&self.replica).await?)
    }

    async fn generation(&self) -> Result<u32, ProjectError> {
        Ok(self.replica.current_generation().await?)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        let mut fold = Fold::of(&self.shard, batch);
        let mut tx = self.replica.write().await?;
        let mut moved: Vec<_> = batch.moved.iter().collect();
        moved.sort_by_key(|(source, _)| **source);
        for (source, (from, to)) in moved {
            advance(&mut tx, *source, *from, *to).await?;
        }
        fold.tables.read(&mut tx).await?;
        fold.apply(batch);
        let newest = fold.newest;
        fold.tables.write(&mut tx).await?;
        if self.batches.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            prune(&mut tx, newest).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

impl Shards {
    /// Returns a projector for each replica of each shard.
    pub fn projectors(&self) -> Vec<Arc<dyn Projector>> {
        let one = |shard: &str, replica: Replica| {
            Arc::new(ShardProjector::new(shard, self.partitions_of(shard), replica)) as Arc<dyn Projector>
        };
        self.names()
            .flat_map(|shard| self.replicas(shard).into_iter().map(move |replica| one(shard, replica)))
            .collect()
    }
}
