//! `credentials`: sealed hashes of passwords. Made of the topic `credentials` alone.

use std::sync::Arc;

use async_trait::async_trait;
use teamlog_log::{Position, Topic};
use teamlog_schemas::{Event, TeamId, UserId};
use teamlog_state::{At, SourceError};
use uuid::Uuid;

use super::{Folded, Source, Tables};
use crate::{
    db::{Cells, DbError, Query, Table, Tx, bytes, int, text},
    shards::{Shards, changes::Row},
};

pub(in crate::shards) struct CredentialRow {
    user: UserId,
    sealed: String,
}

impl Row for CredentialRow {
    const TABLE: Table = Table {
        name: "credentials",
        columns: &[int("team"), bytes("credential", 16), int("person"), text("sealed")],
        key: 2,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, Uuid);

    fn key_cells((team, credential): Self::Key) -> Cells {
        vec![team.into(), credential.as_bytes()[..].into()]
    }

    fn values(&self) -> Cells {
        vec![self.user.into(), self.sealed.as_str().into()]
    }
}

impl Folded for CredentialRow {
    const SOURCE: Source = Source::Compacted(Topic::Credentials, erase);

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Event::CredentialStored(e) = &**event {
            let row = CredentialRow { user: e.user, sealed: e.sealed.clone() };
            on.credentials.set((team, e.credential_id), Some(row));
        }
    }
}

fn erase(on: &mut Tables, team: TeamId, key: &str) {
    if let Some((_, credential)) = key.split_once('/')
        && let Ok(credential) = credential.parse()
    {
        on.credentials.set((team, credential), None);
    }
}

/// A credential as encoded in its topic.
struct SealedQuery(TeamId, Uuid);

#[async_trait]
impl Query for SealedQuery {
    type Answer = Option<String>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Answer, DbError> {
        let sql = "SELECT sealed FROM credentials WHERE team = ? AND credential = ?";
        let rows = tx.rows(sql, vec![self.0.into(), self.1.as_bytes()[..].into()]).await?;
        rows.first().map(|row| Ok(row[0].as_text()?.to_owned())).transpose()
    }
}

impl Shards {
    /// Returns a credential's sealed hash, if it exists. The position is that of the topic `credentials`.
    ///
    /// # Errors
    /// If no replica answers, or one holds what cannot be.
    pub async fn sealed(
        &self,
        shard: &str,
        team: TeamId,
        credential: Uuid,
    ) -> Result<At<Position, Option<String>>, SourceError> {
        self.ask(shard, team, Topic::Credentials, &SealedQuery(team, credential)).await
    }
}
