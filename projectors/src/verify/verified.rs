//! What a comparison found.

use std::collections::BTreeMap;

use teamlog_log::{Partition, Position, TopicPartition};
use teamlog_schemas::TeamId;

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Where both were compared.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// Rows that were looked at; of an index, messages.
    pub rows: u64,
    /// Rows that differ, are missing or should not be there.
    pub differing: u64,
    /// The first hundred of them.
    pub differences: Vec<Difference>,
}

/// A team, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTeam {
    /// The team.
    pub team: TeamId,
    /// Its partition of the log.
    pub partition: Partition,
}

/// One row that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// Its key, column by column.
    pub key: String,
    /// What differs, as the log has it; none if the row should not be there.
    pub expected: Option<String>,
    /// What differs, as the view has it; none if the row is missing.
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
