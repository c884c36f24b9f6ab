//! `closed`: the direct messages that somebody has closed.

use std::sync::Arc;

use teamlog_schemas::{ConversationId, Event, TeamId, UserId};
use teamlog_state::closings;

use super::{Folded, Source, Tables, all_of};
use crate::{
    db::{Cells, DbError, Table, Tx, int},
    shards::{
        changes::Row,
        values::{conversation_of, user_of},
    },
};

/// All of it is its key.
pub(in crate::shards) struct ClosedRow;

impl Row for ClosedRow {
    const TABLE: Table = Table {
        name: "closed",
        columns: &[int("team"), int("conversation"), int("person")],
        key: 3,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, ConversationId, UserId);

    fn key_cells((team, conversation, user): Self::Key) -> Cells {
        vec![team.into(), conversation.into(), user.into()]
    }

    fn values(&self) -> Cells {
        Cells::new()
    }
}

impl Folded for ClosedRow {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        for (conversation, user, is_closed) in closings(event) {
            on.closed.set((team, conversation, user), is_closed.then_some(ClosedRow));
        }
    }
}

/// Reads which direct messages of a team are closed, and for whom.
pub(in crate::shards) async fn closed_of(tx: &mut Tx, team: TeamId) -> Result<Vec<(ConversationId, UserId)>, DbError> {
    let rows = all_of(tx, &ClosedRow::TABLE, team, "conversation, person").await?;
    rows.iter().map(|row| Ok((conversation_of(&row[1])?, user_of(&row[2])?))).collect()
}
