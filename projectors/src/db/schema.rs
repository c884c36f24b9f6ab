//! The schema of a view: its tables, and the fingerprint by which a replica of another schema is told.

use super::{Dialect, Table, bytes, int, optional, word};
use crate::fingerprint::fingerprint;

/// One row a source: everything below `next_offset` is in the rows.
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
    /// All but `positions` and `meta`, which every view has.
    pub(crate) tables: &'static [Table],
    /// Raised when rows mean something else, or their bodies are encoded otherwise, and the columns do not tell.
    pub(crate) rows_version: u32,
}

impl Schema {
    /// The fingerprint in one kind of database. The format of positions is in it: a view whose positions cannot be read cannot
    /// be continued.
    pub(super) fn fingerprint(&self, dialect: Dialect) -> String {
        fingerprint(self.ddl(dialect).into_iter().chain([format!("rows version {}", self.rows_version)]))
    }

    /// The statements that make all tables that hold rows.
    pub(super) fn ddl(&self, dialect: Dialect) -> Vec<String> {
        self.tables.iter().chain([&POSITIONS]).flat_map(|table| table.ddl(dialect)).collect()
    }

    /// The names of all tables that hold rows.
    pub(super) fn table_names(&self) -> Vec<String> {
        self.tables.iter().chain([&POSITIONS]).map(|table| table.name.to_owned()).collect()
    }
}
