//! `mentions`: who was named by which message. `person` 0 is everybody in the conversation, judged when it is read.

use std::sync::Arc;

use teamlog_schemas::{ConversationId, Event, TeamId, Ts, UserId};

use super::{Folded, Source, Tables};
use crate::{
    db::{Cell, Cells, Table, int},
    shards::changes::Row,
};

/// All of it is its key.
pub(in crate::shards) struct MentionRow;

impl Row for MentionRow {
    const TABLE: Table = Table {
        name: "mentions",
        columns: &[int("team"), int("person"), int("conversation"), int("ts")],
        key: 4,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, Option<UserId>, ConversationId, Ts);

    fn key_cells((team, user, conversation, ts): Self::Key) -> Cells {
        vec![team.into(), user.map_or(Cell::Int(0), Cell::from), conversation.into(), ts.into()]
    }

    fn values(&self) -> Cells {
        Cells::new()
    }
}

impl Folded for MentionRow {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        let Event::MessagePosted(e) = &**event else { return };
        let named = e.mentions.iter().map(|user| Some(*user));
        for user in named.chain(e.broadcast.map(|_| None)) {
            on.mentions.add((team, user, e.conversation, e.message.ts), MentionRow);
        }
    }
}
