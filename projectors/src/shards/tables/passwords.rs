//! `passwords`: which credential counts for whom.

use std::sync::Arc;

use async_trait::async_trait;
use teamlog_log::{Position, Topic};
use teamlog_schemas::{Event, TeamId, UserId};
use teamlog_state::{At, SourceError};
use uuid::Uuid;

use super::{Folded, Source, Tables};
use crate::{
    db::{Cells, DbError, Query, Table, Tx, bytes, int},
    shards::{Shards, changes::Row},
};

pub(in crate::shards) struct PasswordRow(Uuid);

impl Row for PasswordRow {
    const TABLE: Table = Table {
        name: "passwords",
        columns: &[int("team"), int("person"), bytes("credential", 16)],
        key: 2,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, UserId);

    fn key_cells((team, user): Self::Key) -> Cells {
        vec![team.into(), user.into()]
    }

    fn values(&self) -> Cells {
        vec![self.0.as_bytes()[..].into()]
    }
}

impl Folded for PasswordRow {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Some((user, credential)) = event.password() {
            on.passwords.set((team, user), Some(PasswordRow(credential)));
        }
    }
}

/// Which credential counts for somebody.
struct PasswordQuery(TeamId, UserId);

#[async_trait]
impl Query for PasswordQuery {
    type Answer = Option<Uuid>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Answer, DbError> {
        let sql = "SELECT credential FROM passwords WHERE team = ? AND person = ?";
        let rows = tx.rows(sql, vec![self.0.into(), self.1.into()]).await?;
        rows.first().map(|row| Uuid::from_slice(row[0].as_bytes()?).map_err(DbError::broken)).transpose()
    }
}

impl Shards {
    /// Returns which credential counts for somebody; none if they have no password. The position is that of `events`.
    ///
    /// # Errors
    /// If no replica answers, or one holds what cannot be.
    pub async fn password(
        &self,
        shard: &str,
        team: TeamId,
        user: UserId,
    ) -> Result<At<Position, Option<Uuid>>, SourceError> {
        self.ask(shard, team, Topic::Events, &PasswordQuery(team, user)).await
    }
}
