//! The questions that a team's owner asks of its shard.

use async_trait::async_trait;
use teamlog_log::{Partition, Position, Topic, TopicPartition};
use teamlog_schemas::{TeamId, Ts, UserId};
use teamlog_state::{At, Facts, FactsWanted, SourceError, TeamRows, TeamSource, Timer, UserState};

use super::{FactsQuery, TeamQuery};
use crate::shards::{reader::Shards, tables::UserQuery};

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
