//! `marks`: how far somebody has read in a conversation. Made of the topic `marks` alone.

use std::sync::Arc;

use async_trait::async_trait;
use teamlog_log::Topic;
use teamlog_schemas::{ConversationId, Event, TeamId, Ts, UserId};
use teamlog_state::UserState;

use super::{Folded, Source, Tables};
use crate::{
    db::{Cells, DbError, Query, Table, Tx, int},
    shards::{
        changes::Row,
        values::{conversation_of, ts_of},
    },
};

pub(in crate::shards) struct MarkRow(Ts);

impl Row for MarkRow {
    const TABLE: Table = Table {
        name: "marks",
        columns: &[int("team"), int("person"), int("conversation"), int("ts")],
        key: 3,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, UserId, ConversationId);

    fn key_cells((team, user, conversation): Self::Key) -> Cells {
        vec![team.into(), user.into(), conversation.into()]
    }

    fn values(&self) -> Cells {
        vec![self.0.into()]
    }
}

impl Folded for MarkRow {
    const SOURCE: Source = Source::Compacted(Topic::Marks, erase);

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Event::ReadMarked(e) = &**event
            && let Some(user) = e.meta.actor
        {
            on.marks.set((team, user, e.conversation), Some(MarkRow(e.ts)));
        }
    }
}

fn erase(on: &mut Tables, team: TeamId, key: &str) {
    if let Some((user, conversation)) = key.split_once('/')
        && let (Ok(user), Ok(conversation)) = (user.parse(), conversation.parse())
    {
        on.marks.set((team, user, conversation), None);
    }
}

/// The query for the state that belongs to one person.
pub(in crate::shards) struct UserQuery(pub(in crate::shards) TeamId, pub(in crate::shards) UserId);

#[async_trait]
impl Query for UserQuery {
    type Answer = UserState;

    async fn run(&self, tx: &mut Tx) -> Result<UserState, DbError> {
        let sql = "SELECT conversation, ts FROM marks WHERE team = ? AND person = ?";
        let rows = tx.rows(sql, vec![self.0.into(), self.1.into()]).await?;
        let marks = rows.iter().map(|row| Ok((conversation_of(&row[0])?, ts_of(&row[1])?)));
        Ok(UserState { marks: marks.collect::<Result<_, DbError>>()? })
    }
}
