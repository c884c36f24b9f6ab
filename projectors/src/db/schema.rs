//! The schema of a view: its tables, and the fingerprint by which a replica with another schema is recognized.

use super::{Dialect, Table, bytes, int, optional, word};
use crate::fingerprint::fingerprint;

/// The position in each source, a row per source. Every record before `next_offset` (exclusive) is applied to the rows.
pub(crate) static POSITIONS: Table = Table {
    name: "positions",
    columns: &[
        word("topic", 32),
        int("part"),
        bytes("log_id", 16),
        int("next_offset"),
        int("epoch"),
        bytes("claim_id", 16),
        int("claim_offset"),
        optional(int("next_seq")),
    ],
    key: 2,
    indexes: &[],
    pruned: true,
};

/// The tables of one kind of view.
#[derive(Debug)]
pub(crate) struct Schema {
    /// All tables except `positions` and `meta`, which every view has.
    pub(crate) tables: &'static [Table],
    /// The version of the rows' meaning and of their bodies' encoding. Raise it when either changes and the columns do not.
    pub(crate) rows_version: u32,
}

impl Schema {
    /// Returns the fingerprint for one kind of database. It covers the format of positions: a view whose positions cannot be
    /// read cannot be continued.
    pub(super) fn fingerprint(&self, dialect: Dialect) -> String {
        fingerprint(self.ddl(dialect).into_iter().chain([format!("rows version {}", self.rows_version)]))
    }

    /// Returns the statements that create all tables that hold rows.
    pub(super) fn ddl(&self, dialect: Dialect) -> Vec<String> {
        self.tables.iter().chain([&POSITIONS]).flat_map(|table| table.ddl(dialect)).collect()
    }

    /// Returns the names of all tables that hold rows.
    pub(super) fn table_names(&self) -> Vec<String> {
        self.tables.iter().chain([&POSITIONS]).map(|table| table.name.to_owned()).collect()
    }
}
