//! The comparison of two copies of a view, and of two databases row by row.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
};

use futures::{StreamExt, TryStreamExt};
use teamlog_log::{Position, Topic, TopicPartition};
use teamlog_schemas::{ConversationId, TeamId, UserId};
use uuid::Uuid;

use super::{Difference, Verified};
use crate::db::{Cell, Cells, DbError, Table, Tx, id_of};

/// The maximum number of differences that are reported. The rest are only counted.
const TOLD_MAX: usize = 100;
/// The maximum number of characters of a value in a report.
const VALUE_CHARS_MAX: usize = 120;

/// A comparison in progress.
pub(crate) struct Comparison {
    team: Option<TeamId>,
    /// Keys of compacted topics for which the fold cannot give the expected row.
    left_out: HashSet<(Topic, String)>,
    so_far: Verified,
}

impl Comparison {
    pub(super) fn new(team: Option<TeamId>, left_out: HashSet<(Topic, String)>) -> Comparison {
        Comparison { team, left_out, so_far: Verified::default() }
    }

    pub(super) fn done(mut self, positions: BTreeMap<TopicPartition, Position>) -> Verified {
        self.so_far.positions = positions;
        self.so_far
    }

    /// Compares positions. A view whose position belongs to another history of the log differs, whatever its rows.
    pub(super) fn positions(&mut self, source: TopicPartition, found: Position, expected: Position) {
        // In a compacted topic the records before an offset may have been removed.
        if found != expected && source.topic.fenced() {
            let (expected, found) = (Some(format!("{expected:?}")), Some(format!("{found:?}")));
            self.tell(Difference { table: "positions", key: source.to_string(), expected, found });
        }
    }

    pub(super) async fn table(&mut self, table: &Table, expected: &mut Tx, found: &mut Tx) -> Result<(), DbError> {
        let by_team = self.team.filter(|_| table.columns.iter().any(|column| column.name == "team"));
        let which = if by_team.is_some() { " WHERE team = ?" } else { "" };
        let sql = format!("SELECT {} FROM {}{which} ORDER BY {}", table.names(), table.name, table.key_names());
        let args: Cells = by_team.into_iter().map(Cell::from).collect();
        let mut expected = expected.stream(sql.clone(), args.clone()).peekable();
        let mut found = found.stream(sql, args).peekable();
        loop {
            let (mut left, mut right) = (std::pin::Pin::new(&mut expected), std::pin::Pin::new(&mut found));
            let order = match (left.as_mut().peek().await, right.as_mut().peek().await) {
                (None, None) => return Ok(()),
                (Some(Err(error)), _) | (_, Some(Err(error))) => return Err(error.clone()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok(left)), Some(Ok(right))) => order(&left[..table.key], &right[..table.key]),
            };
            let left = if order.is_le() { left.try_next().await? } else { None };
            let right = if order.is_ge() { right.try_next().await? } else { None };
            self.row(table, left.as_deref(), right.as_deref());
        }
    }

    fn row(&mut self, table: &Table, expected: Option<&[Cell]>, found: Option<&[Cell]>) {
        self.looked();
        let Some(row) = expected.or(found) else { return };
        let differs = |at: &usize| match (expected, found) {
            (Some(expected), Some(found)) => expected[*at].order(&found[*at]).is_ne(),
            _ => true,
        };
        let columns: Vec<usize> = (table.key..table.columns.len()).filter(differs).collect();
        let is_same = expected.is_some() && found.is_some() && columns.is_empty();
        if is_same || self.is_left_out(table, row) {
            return;
        }
        let told = |row: &[Cell], columns: &[usize]| {
            let one = |at: &usize| format!("{} = {}", table.columns[*at].name, shown(table, *at, &row[*at]));
            columns.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let key: Vec<usize> = (0..table.key).collect();
        let difference = Difference {
            table: table.name,
            key: told(row, &key),
            expected: expected.map(|row| told(row, &columns)),
            found: found.map(|row| told(row, &columns)),
        };
        self.tell(difference);
    }

    fn is_left_out(&self, table: &Table, row: &[Cell]) -> bool {
        let key = match table.name {
            "marks" => mark_key(row).map(|key| (Topic::Marks, key)),
            "credentials" => credential_key(row).map(|key| (Topic::Credentials, key)),
            _ => return false,
        };
        key.is_ok_and(|key| self.left_out.contains(&key))
    }

    /// Counts a compared row.
    pub(crate) fn looked(&mut self) {
        self.so_far.rows += 1;
    }

    /// Records a row that differs.
    pub(crate) fn tell(&mut self, difference: Difference) {
        self.so_far.differing += 1;
        if self.so_far.differences.len() < TOLD_MAX {
            self.so_far.differences.push(difference);
        }
    }
}

fn order(left: &[Cell], right: &[Cell]) -> Ordering {
    let different = left.iter().zip(right).map(|(left, right)| left.order(right)).find(|order| order.is_ne());
    different.unwrap_or(Ordering::Equal)
}

/// Formats a value for a report: ids as clients see them, secrets omitted, long text truncated.
fn shown(table: &Table, at: usize, cell: &Cell) -> String {
    let id = match table.columns[at].name {
        "team" => id_of(cell, TeamId::from_packed).map(|id| id.to_string()),
        "conversation" => id_of(cell, ConversationId::from_packed).map(|id| id.to_string()),
        "person" | "author" => id_of(cell, UserId::from_packed).map(|id| id.to_string()),
        "sealed" => Ok("(sealed)".to_owned()),
        _ => Ok(String::new()),
    };
    if let Ok(id) = id
        && !id.is_empty()
    {
        return id;
    }
    cut(&cell.to_string())
}

/// Truncates a value to [`VALUE_CHARS_MAX`] characters.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn mark_key(row: &[Cell]) -> Result<String, DbError> {
    let (team, user) = (id_of(&row[0], TeamId::from_packed)?, id_of(&row[1], UserId::from_packed)?);
    Ok(teamlog_schemas::mark_key(team, user, id_of(&row[2], ConversationId::from_packed)?))
}

fn credential_key(row: &[Cell]) -> Result<String, DbError> {
    let credential = Uuid::from_slice(row[1].as_bytes()?).map_err(DbError::broken)?;
    let (team, user) = (id_of(&row[0], TeamId::from_packed)?, id_of(&row[2], UserId::from_packed)?);
    Ok(teamlog_schemas::credential_key(team, user, credential))
}
