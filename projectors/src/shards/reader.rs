//! `Shards`: the shards and their replicas, and how one is asked. The questions themselves, and the methods that ask them,
//! lie beside the tables that answer them.

use std::{collections::BTreeMap, sync::Arc};

use teamlog_log::{Feed, Partition, Position, Topic, TopicPartition};
use teamlog_schemas::{Event, TeamId, partition_of};
use teamlog_state::{At, SourceError};

use crate::db::{Query, Replica, Replicas};

/// All configured shards. Cheap to clone.
#[derive(Clone)]
pub struct Shards {
    partitions: u32,
    shards: Arc<BTreeMap<String, Replicas>>,
}

impl Shards {
    pub(super) fn of(partitions: u32, shards: BTreeMap<String, Replicas>) -> Shards {
        Shards { partitions, shards: Arc::new(shards) }
    }

    /// How many partitions the log has.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The shards' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shards.keys().map(String::as_str)
    }

    /// Which shard has the teams of a partition: by turns, in the order of their names. None if there is no shard.
    pub fn shard_of(&self, partition: Partition) -> Option<&str> {
        let turn = partition.0 as usize % self.shards.len().max(1);
        self.shards.keys().nth(turn).map(String::as_str)
    }

    /// The partitions of a shard.
    pub fn partitions_of(&self, shard: &str) -> Vec<Partition> {
        let all = (0..self.partitions).map(Partition);
        all.filter(|partition| self.shard_of(*partition) == Some(shard)).collect()
    }

    /// Reads only from replicas whose position the ring of `feed` bridges, where a shard has one.
    pub fn follow(&self, feed: &Feed<Event>) {
        self.shards.values().for_each(|replicas| replicas.follow(feed));
    }

    /// A shard's replicas.
    pub fn replicas(&self, shard: &str) -> Vec<Replica> {
        self.shards.get(shard).into_iter().flat_map(Replicas::iter).cloned().collect()
    }

    /// Returns the generations of a shard's replicas that this process last saw, as text. A rebuild changes it.
    pub(crate) fn generations(&self, shard: &str) -> String {
        let one = |replica: &Replica| replica.seen_generation().map_or("-".to_owned(), |number| number.to_string());
        let all: Vec<String> = self.shards.get(shard).into_iter().flat_map(Replicas::iter).map(one).collect();
        all.join(".")
    }

    pub(super) fn replicas_of(&self, shard: &str) -> Result<&Replicas, SourceError> {
        let unknown = || SourceError::Away { shard: shard.to_owned(), why: "it is not configured here".to_owned() };
        self.shards.get(shard).ok_or_else(unknown)
    }

    /// Asks one question about a team, with the position of its partition in a topic.
    pub(super) async fn ask<Q: Query>(
        &self,
        shard: &str,
        team: TeamId,
        topic: Topic,
        query: &Q,
    ) -> Result<At<Position, Q::Answer>, SourceError> {
        let partition = Partition(partition_of(team, self.partitions));
        self.replicas_of(shard)?.ask(TopicPartition { topic, partition }, query).await
    }
}
