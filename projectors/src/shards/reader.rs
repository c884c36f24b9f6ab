//! `Shards`: the shards and their replicas, and how one is asked. The questions themselves, and the methods that ask them,
//! lie beside the tables that answer them.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use teamlog_log::{Feed, Partition, Position, Topic, TopicPartition};
use teamlog_schemas::{Event, TeamId, Ts, UserId, partition_of};
use teamlog_state::{At, Facts, FactsWanted, SourceError, TeamRows, TeamSource, Timer, UserState};

use super::{
    ShardProjector,
    questions::{FactsQuery, TeamQuery},
    tables::{SHARD, UserQuery},
};
use crate::{
    db::{DbError, Query, Replica, Replicas},
    projector::Projector,
};

/// The configuration of one shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardConfig {
    /// The shard's name in the directory.
    pub name: String,
    /// `mysql://user@host:port/database` or `sqlite://path`, nearest first.
    pub replicas: Vec<String>,
}

/// All configured shards. Cheap to clone.
#[derive(Clone)]
pub struct Shards {
    partitions: u32,
    shards: Arc<BTreeMap<String, Replicas>>,
}

impl Shards {
    /// Makes the shards of a log with this number of partitions. Replicas are opened at their first use.
    ///
    /// # Errors
    /// [`DbError::Url`] for a replica's url that is none, or a shard without a replica.
    pub fn new(partitions: u32, shards: &[ShardConfig]) -> Result<Shards, DbError> {
        let open = |shard: &ShardConfig| {
            if shard.replicas.is_empty() {
                return Err(DbError::Url(format!("shard {} has no replica", shard.name)));
            }
            let view = crate::names::shard(&shard.name);
            let open = |url: &String| Replica::open(&view, url, &SHARD);
            let replicas = shard.replicas.iter().map(open).collect::<Result<_, _>>()?;
            Ok((shard.name.clone(), Replicas::new(&shard.name, &SHARD, replicas)))
        };
        let shards = shards.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Shards { partitions, shards: Arc::new(shards) })
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

    /// Returns a projector for each replica of each shard.
    pub fn projectors(&self) -> Vec<Arc<dyn Projector>> {
        let one = |shard: &str, replica: Replica| {
            Arc::new(ShardProjector::new(shard, self.partitions_of(shard), replica)) as Arc<dyn Projector>
        };
        self.names()
            .flat_map(|shard| self.replicas(shard).into_iter().map(move |replica| one(shard, replica)))
            .collect()
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

#[async_trait]
impl TeamSource<Position> for Shards {
    async fn team(&self, shard: &str, team: TeamId) -> Result<At<Position, Option<TeamRows>>, SourceError> {
        self.ask(shard, team, Topic::Events, &TeamQuery(team)).await
    }

    async fn facts(
        &self,
        shard: &str,
        team: TeamId,
        wanted: &[FactsWanted],
    ) -> Result<At<Position, Vec<Facts>>, SourceError> {
        self.ask(shard, team, Topic::Events, &FactsQuery { team, wanted: wanted.to_vec() }).await
    }

    async fn timers(
        &self,
        shard: &str,
        partition: u32,
        until: Ts,
        limit: usize,
    ) -> Result<At<Position, Vec<Timer>>, SourceError> {
        self.timers_before(shard, TopicPartition::events(Partition(partition)), until, limit).await
    }

    async fn user(&self, shard: &str, team: TeamId, user: UserId) -> Result<At<Position, UserState>, SourceError> {
        self.ask(shard, team, Topic::Marks, &UserQuery(team, user)).await
    }
}
