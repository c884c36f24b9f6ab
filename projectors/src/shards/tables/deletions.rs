//! `deletions`: countable messages that were deleted. The ordinals after a read mark lessen by them.

use std::sync::Arc;

use teamlog_schemas::{ConversationId, Event, TeamId, Ts};

use super::{Folded, Source, Tables};
use crate::{
    db::{Cells, Table, int},
    shards::changes::Row,
};

/// All of it is its key.
pub(in crate::shards) struct DeletionRow;

impl Row for DeletionRow {
    const TABLE: Table = Table {
        name: "deletions",
        columns: &[int("team"), int("conversation"), int("ts")],
        key: 3,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, ConversationId, Ts);

    fn key_cells((team, conversation, ts): Self::Key) -> Cells {
        vec![team.into(), conversation.into(), ts.into()]
    }

    fn values(&self) -> Cells {
        Cells::new()
    }
}

impl Folded for DeletionRow {
    const SOURCE: Source = Source::Events;

    /// `messages` is below: its row is seen as it was before.
    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        let Event::MessageDeleted(e) = &**event else { return };
        let key = (team, e.conversation, e.before.ts);
        if on.messages.get(key).is_some_and(|message| message.counts()) {
            on.deletions.add(key, DeletionRow);
        }
    }
}
