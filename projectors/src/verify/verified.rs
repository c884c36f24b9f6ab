//! The result of a comparison.

use std::collections::BTreeMap;

use teamlog_log::{Partition, Position, TopicPartition};
use teamlog_schemas::TeamId;

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// The positions at which both copies were compared.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// The number of compared rows; for an index, of messages.
    pub rows: u64,
    /// The number of rows that differ, are missing or should not exist.
    pub differing: u64,
    /// The first hundred of these rows.
    pub differences: Vec<Difference>,
}

/// A team and its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTeam {
    /// The team.
    pub team: TeamId,
    /// Its partition of the log.
    pub partition: Partition,
}

/// A row that differs, is missing or should not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row's key, column by column.
    pub key: String,
    /// The differing columns as the log has them; none if the row should not exist.
    pub expected: Option<String>,
    /// The differing columns as the view has them; none if the row is missing.
    pub found: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: ", self.table, self.key)?;
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) => write!(f, "expected {expected}, found {found}"),
            (Some(_), None) => f.write_str("is missing"),
            (None, _) => f.write_str("should not be there"),
        }
    }
}
