//! `people`: a team's people. `idx` is the dense index in the team, `body` the person as the event told it.

use std::sync::Arc;

use teamlog_schemas::{Event, Person, TeamId, Ts, UserId};
use teamlog_state::newcomer;

use super::{Folded, Source, Tables, all_of};
use crate::{
    db::{Cell, Cells, DbError, Table, Tx, int, text},
    shards::{
        changes::{ReadFirst, Row},
        values::{number, team_of, ts_of, user_of},
    },
};

#[derive(Clone, Debug)]
pub(in crate::shards) struct PersonRow {
    idx: u32,
    since: Ts,
    person: Person,
}

impl Row for PersonRow {
    const TABLE: Table = Table {
        name: "people",
        columns: &[int("team"), int("person"), int("idx"), int("since"), text("name"), text("body")],
        key: 2,
        indexes: &[],
        pruned: false,
    };
    type Key = (TeamId, UserId);

    fn key_cells((team, user): Self::Key) -> Cells {
        vec![team.into(), user.into()]
    }

    fn values(&self) -> Cells {
        vec![self.idx.into(), self.since.into(), self.person.name.as_str().into(), Cell::json(&self.person)]
    }
}

impl ReadFirst for PersonRow {
    fn wanted(team: TeamId, event: &Event) -> Vec<Self::Key> {
        newcomer(event).map(|(person, _)| (team, person.user)).into_iter().collect()
    }

    fn parse(row: &[Cell]) -> Result<(Self::Key, PersonRow), DbError> {
        let person = PersonRow { idx: number(&row[2])?, since: ts_of(&row[3])?, person: row[5].as_json()? };
        Ok(((team_of(&row[0])?, user_of(&row[1])?), person))
    }
}

impl Folded for PersonRow {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        let Some((person, since)) = newcomer(event) else { return };
        let key = (team, person.user);
        if on.people.has(key) {
            return;
        }
        let next = on.teams.change(team, |row| {
            row.people += 1;
            row.people - 1
        });
        if let Some(idx) = next {
            on.people.put(key, PersonRow { idx, since, person: person.clone() });
        }
    }
}

/// Reads a team's people and when they joined, in the order of their dense indexes.
pub(in crate::shards) async fn people_of(tx: &mut Tx, team: TeamId) -> Result<Vec<(Person, Ts)>, DbError> {
    let rows = all_of(tx, &PersonRow::TABLE, team, "idx").await?;
    rows.iter().map(|row| PersonRow::parse(row).map(|(_, row)| (row.person, row.since))).collect()
}
