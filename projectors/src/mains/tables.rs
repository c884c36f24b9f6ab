//! The directory's tables.

use crate::db::{Schema, Table, blob, int, text, word};

pub(crate) static MAINS: Schema = Schema { tables: &[TEAMS, CLUSTER], rows_version: ROWS_VERSION };

/// The version of the rows' meaning, as far as the columns do not show it. Raise it when a rebuild from an unchanged log
/// would give other rows than before.
const ROWS_VERSION: u32 = 1;

/// The teams by domain. A domain belongs to the team that registered it first: `log_offset` is that event's offset.
pub(super) const TEAMS: Table = Table {
    name: "teams",
    columns: &[word("domain", 255), int("team"), text("name"), int("part"), text("shard"), int("log_offset")],
    key: 1,
    indexes: &[("by_team", "team")],
    pruned: false,
};

/// The cluster's founding, as encoded in the log. The table has a single row, with number 0.
pub(super) const CLUSTER: Table =
    Table { name: "cluster", columns: &[int("number"), blob("event")], key: 1, indexes: &[], pruned: false };
