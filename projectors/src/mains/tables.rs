//! The directory's tables.

use crate::db::{Schema, Table, blob, int, text, word};

pub(crate) static MAINS: Schema = Schema { tables: &[TEAMS, CLUSTER], rows_version: ROWS_VERSION };

/// The version of what these rows mean, as far as the columns do not tell. Raise it when a rebuild would give other rows
/// than before from an unchanged log.
const ROWS_VERSION: u32 = 1;

/// A domain belongs to whom it was first given: `log_offset` is that event's.
pub(super) const TEAMS: Table = Table {
    name: "teams",
    columns: &[word("domain", 255), int("team"), text("name"), int("part"), text("shard"), int("log_offset")],
    key: 1,
    indexes: &[("by_team", "team")],
    pruned: false,
};

/// One row, numbered 0: the cluster's founding, as it lies in the log.
pub(super) const CLUSTER: Table =
    Table { name: "cluster", columns: &[int("number"), blob("event")], key: 1, indexes: &[], pruned: false };
