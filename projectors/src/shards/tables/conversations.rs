//! `conversations`: `idx` is the dense index in the team, `ordinal` the newest countable message's, `body` what seldom
//! changes.

use std::sync::Arc;

use teamlog_schemas::{ConversationId, Event, TeamId};
use teamlog_state::{ConversationRow, begun_conversations, change_conversation};

use super::{Folded, Source, Tables, all_of};
use crate::{
    db::{Cell, Cells, DbError, Table, Tx, int, optional, text},
    shards::{
        changes::{ReadFirst, Row},
        values::{conversation_of, number, team_of, ts_of},
    },
};

#[derive(Clone, Debug)]
pub(in crate::shards) struct IndexedConversation {
    idx: u32,
    pub(super) row: ConversationRow,
}

impl Row for IndexedConversation {
    const TABLE: Table = Table {
        name: "conversations",
        columns: &[
            int("team"),
            int("conversation"),
            int("idx"),
            optional(text("name")),
            int("latest"),
            int("first_posted"),
            int("ordinal"),
            text("body"),
        ],
        key: 2,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, ConversationId);

    fn key_cells((team, conversation): Self::Key) -> Cells {
        vec![team.into(), conversation.into()]
    }

    fn values(&self) -> Cells {
        let row = &self.row;
        vec![
            self.idx.into(),
            row.name.as_deref().into(),
            row.latest.into(),
            row.first_posted.into(),
            row.ordinal.into(),
            Cell::json(row),
        ]
    }
}

impl ReadFirst for IndexedConversation {
    fn wanted(team: TeamId, event: &Event) -> Vec<Self::Key> {
        event.conversation().map(|conversation| (team, conversation)).into_iter().collect()
    }

    fn parse(row: &[Cell]) -> Result<(Self::Key, IndexedConversation), DbError> {
        let conversation = conversation_of(&row[1])?;
        let name = row[3].present().map(Cell::as_text).transpose()?;
        let parsed = ConversationRow {
            conversation,
            name: name.map(str::to_owned),
            latest: ts_of(&row[4])?,
            first_posted: ts_of(&row[5])?,
            ordinal: number(&row[6])?,
            ..row[7].as_json()?
        };
        Ok(((team_of(&row[0])?, conversation), IndexedConversation { idx: number(&row[2])?, row: parsed }))
    }
}

impl Folded for IndexedConversation {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        for row in begun_conversations(event) {
            let key = (team, row.conversation);
            if on.conversations.has(key) {
                continue;
            }
            let next = on.teams.change(team, |row| {
                row.conversations += 1;
                row.conversations - 1
            });
            if let Some(idx) = next {
                on.conversations.put(key, IndexedConversation { idx, row });
            }
        }
        change_conversation(event, |conversation, change| {
            on.conversations.change((team, conversation), |conversation| change(&mut conversation.row));
        });
    }
}

/// Reads a team's conversations, in the order of their dense indexes.
pub(in crate::shards) async fn conversations_of(tx: &mut Tx, team: TeamId) -> Result<Vec<ConversationRow>, DbError> {
    let rows = all_of(tx, &IndexedConversation::TABLE, team, "idx").await?;
    rows.iter().map(|row| IndexedConversation::parse(row).map(|(_, row)| row.row)).collect()
}
