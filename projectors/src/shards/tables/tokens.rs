//! `tokens`: what a token is, by the SHA-256 of its text; the revoked ones included.

use std::sync::Arc;

use teamlog_schemas::{Event, TeamId, TokenKind};
use teamlog_state::{TokenHash, TokenState, issued_token, revoked_token};

use super::{Folded, Source, Tables, all_of};
use crate::{
    db::{Cell, Cells, DbError, Table, Tx, bytes, int, text},
    shards::{
        changes::{ReadFirst, Row},
        values::{team_of, user_of},
    },
};

impl Row for TokenState {
    const TABLE: Table = Table {
        name: "tokens",
        columns: &[int("team"), bytes("hash", 32), int("person"), text("kind"), int("revoked")],
        key: 2,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, TokenHash);

    fn key_cells((team, hash): Self::Key) -> Cells {
        vec![team.into(), hash.as_slice().into()]
    }

    fn values(&self) -> Cells {
        let kind = match self.kind {
            TokenKind::User => "user",
            TokenKind::Bot => "bot",
        };
        vec![self.user.into(), kind.into(), self.revoked.into()]
    }
}

impl ReadFirst for TokenState {
    fn wanted(team: TeamId, event: &Event) -> Vec<Self::Key> {
        let issued = issued_token(event).map(|(hash, _)| hash);
        issued.or_else(|| revoked_token(event)).map(|hash| (team, hash)).into_iter().collect()
    }

    fn parse(row: &[Cell]) -> Result<(Self::Key, TokenState), DbError> {
        let hash = TokenHash::try_from(row[1].as_bytes()?).map_err(DbError::broken)?;
        let kind = match row[3].as_text()? {
            "user" => TokenKind::User,
            "bot" => TokenKind::Bot,
            other => return Err(DbError::broken(format!("a token of kind {other}"))),
        };
        let state = TokenState { user: user_of(&row[2])?, kind, revoked: row[4].as_int()? != 0 };
        Ok(((team_of(&row[0])?, hash), state))
    }
}

impl Folded for TokenState {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Some((hash, token)) = issued_token(event)
            && !on.tokens.has((team, hash))
        {
            on.tokens.put((team, hash), token);
        }
        if let Some(hash) = revoked_token(event) {
            on.tokens.change((team, hash), |token| token.revoked = true);
        }
    }
}

/// Reads a team's tokens.
pub(in crate::shards) async fn tokens_of(tx: &mut Tx, team: TeamId) -> Result<Vec<(TokenHash, TokenState)>, DbError> {
    let rows = all_of(tx, &TokenState::TABLE, team, "hash").await?;
    rows.iter().map(|row| TokenState::parse(row).map(|((_, hash), state)| (hash, state))).collect()
}
