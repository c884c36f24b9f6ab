//! A team: all of its rows, in one snapshot.

use async_trait::async_trait;
use teamlog_schemas::TeamId;
use teamlog_state::TeamRows;

use crate::{
    db::{DbError, Query, Tx},
    shards::tables::{bots_of, closed_of, conversations_of, members_of, people_of, team_row, tokens_of},
};

/// All rows that a `Team` is made of.
pub(in crate::shards) struct TeamQuery(pub(in crate::shards) TeamId);

#[async_trait]
impl Query for TeamQuery {
    type Answer = Option<TeamRows>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<TeamRows>, DbError> {
        let team = self.0;
        let Some(row) = team_row(tx, team).await? else { return Ok(None) };
        Ok(Some(TeamRows {
            team,
            domain: row.domain,
            name: row.name,
            shard: row.shard,
            created: row.created,
            last_ts: row.last_ts,
            people: people_of(tx, team).await?,
            conversations: conversations_of(tx, team).await?,
            members: members_of(tx, team).await?,
            closed: closed_of(tx, team).await?,
            bots: bots_of(tx, team).await?,
            tokens: tokens_of(tx, team).await?,
        }))
    }
}
