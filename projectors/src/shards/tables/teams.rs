//! `teams`: the teams that began on this shard. It counts their people and conversations: the next dense index.

use std::sync::Arc;

use async_trait::async_trait;
use teamlog_log::{Partition, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId, Ts};
use teamlog_state::{At, SourceError};

use super::{Folded, Source, Tables};
use crate::{
    db::{Cell, Cells, DbError, Query, Table, Tx, id_of, int, text},
    shards::{
        Shards,
        changes::{ReadFirst, Row},
        values::{number, team_of, ts_of},
    },
};

#[derive(Clone, Debug)]
pub(in crate::shards) struct TeamRow {
    pub(in crate::shards) domain: String,
    pub(in crate::shards) name: String,
    pub(in crate::shards) shard: String,
    pub(in crate::shards) created: Ts,
    /// The newest `ts` given out.
    pub(in crate::shards) last_ts: Ts,
    pub(super) people: u32,
    pub(super) conversations: u32,
}

impl Row for TeamRow {
    const TABLE: Table = Table {
        name: "teams",
        columns: &[
            int("team"),
            text("domain"),
            text("name"),
            text("shard"),
            int("created"),
            int("last_ts"),
            int("people"),
            int("conversations"),
        ],
        key: 1,
        indexes: &[],
        pruned: false,
    };
    type Key = TeamId;

    fn key_cells(team: TeamId) -> Cells {
        vec![team.into()]
    }

    fn values(&self) -> Cells {
        vec![
            self.domain.as_str().into(),
            self.name.as_str().into(),
            self.shard.as_str().into(),
            self.created.into(),
            self.last_ts.into(),
            self.people.into(),
            self.conversations.into(),
        ]
    }
}

impl ReadFirst for TeamRow {
    fn wanted(team: TeamId, _: &Event) -> Vec<TeamId> {
        vec![team]
    }

    fn parse(row: &[Cell]) -> Result<(TeamId, TeamRow), DbError> {
        let team = TeamRow {
            domain: row[1].as_text()?.to_owned(),
            name: row[2].as_text()?.to_owned(),
            shard: row[3].as_text()?.to_owned(),
            created: ts_of(&row[4])?,
            last_ts: ts_of(&row[5])?,
            people: number(&row[6])?,
            conversations: number(&row[7])?,
        };
        Ok((team_of(&row[0])?, team))
    }
}

impl Folded for TeamRow {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        let given = event.given_ts();
        if given > Ts::ZERO {
            on.teams.change(team, |row| row.last_ts = row.last_ts.max(given));
        }
    }
}

/// Begins a team on the shard of this name, if the event does that; returns whether the event's team is here.
pub(in crate::shards) fn begin(on: &mut Tables, shard: &str, team: TeamId, event: &Event) -> bool {
    if let Event::TeamCreated(e) = event
        && e.shard == shard
        && !on.teams.has(team)
    {
        let row = TeamRow {
            domain: e.domain.clone(),
            name: e.name.clone(),
            shard: e.shard.clone(),
            created: e.meta.at,
            last_ts: Ts::ZERO,
            people: 0,
            conversations: 0,
        };
        on.teams.put(team, row);
    }
    on.teams.has(team)
}

/// Reads the row of a team, if it began here.
pub(in crate::shards) async fn team_row(tx: &mut Tx, team: TeamId) -> Result<Option<TeamRow>, DbError> {
    let found = tx.select(&TeamRow::TABLE, vec![TeamRow::key_cells(team)]).await?;
    found.first().map(|row| Ok(TeamRow::parse(row)?.1)).transpose()
}

/// Every team of the shard.
struct TeamsQuery;

#[async_trait]
impl Query for TeamsQuery {
    type Answer = Vec<TeamId>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<TeamId>, DbError> {
        let rows = tx.rows("SELECT team FROM teams ORDER BY team", Vec::new()).await?;
        rows.iter().map(|row| id_of(&row[0], TeamId::from_packed)).collect()
    }
}

impl Shards {
    /// Returns the teams that a shard holds, of whichever partition. The position is that of `partition`.
    ///
    /// # Errors
    /// If no replica answers, or one holds what cannot be.
    pub async fn teams(&self, shard: &str, partition: Partition) -> Result<At<Position, Vec<TeamId>>, SourceError> {
        self.replicas_of(shard)?.ask(TopicPartition::events(partition), &TeamsQuery).await
    }
}
