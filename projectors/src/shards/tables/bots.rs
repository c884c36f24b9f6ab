//! `bots`: bots that send without a user of their own.

use std::sync::Arc;

use teamlog_schemas::{BotId, Event, TeamId, Text};
use teamlog_state::{Bot, new_bot};

use super::{Folded, Source, Tables, all_of};
use crate::{
    db::{Cell, Cells, DbError, Table, Tx, int, optional, text},
    shards::{changes::Row, values::bot_of},
};

impl Row for Bot {
    const TABLE: Table = Table {
        name: "bots",
        columns: &[int("team"), int("bot"), text("name"), optional(text("extra"))],
        key: 2,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, BotId);

    fn key_cells((team, bot): Self::Key) -> Cells {
        vec![team.into(), bot.into()]
    }

    fn values(&self) -> Cells {
        vec![self.name.as_str().into(), self.extra.as_ref().map(Text::as_str).into()]
    }
}

impl Folded for Bot {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Some(bot) = new_bot(event) {
            on.bots.set((team, bot.bot), Some(bot));
        }
    }
}

/// Reads a team's bots.
pub(in crate::shards) async fn bots_of(tx: &mut Tx, team: TeamId) -> Result<Vec<Bot>, DbError> {
    let parse = |row: &Cells| {
        let extra = row[3].present().map(Cell::as_text).transpose()?.map(Text::from);
        Ok(Bot { bot: bot_of(&row[1])?, name: row[2].as_text()?.into(), extra })
    };
    all_of(tx, &Bot::TABLE, team, "bot").await?.iter().map(parse).collect()
}
