//! `members`: who is in which conversation.

use std::sync::Arc;

use teamlog_schemas::{ConversationId, Event, TeamId, UserId};

use super::{Folded, Source, Tables, all_of};
use crate::{
    db::{Cells, DbError, Table, Tx, int},
    shards::{
        changes::Row,
        values::{conversation_of, user_of},
    },
};

/// All of it is its key.
pub(in crate::shards) struct MemberRow;

impl Row for MemberRow {
    const TABLE: Table = Table {
        name: "members",
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

impl Folded for MemberRow {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        for change in event.memberships() {
            on.members.set((team, change.conversation, change.user), change.joined.then_some(MemberRow));
        }
    }
}

/// Reads who is in which conversation of a team.
pub(in crate::shards) async fn members_of(tx: &mut Tx, team: TeamId) -> Result<Vec<(ConversationId, UserId)>, DbError> {
    let rows = all_of(tx, &MemberRow::TABLE, team, "conversation, person").await?;
    rows.iter().map(|row| Ok((conversation_of(&row[1])?, user_of(&row[2])?))).collect()
}
