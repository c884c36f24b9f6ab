//! Why a process may not be among the nodes.

use uuid::Uuid;

/// Why a node may not go on.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JoinError {
    /// One is there beside which this one must not be.
    #[error(
        "node {node} at {address} is on this log (its last heartbeat is {age_ms} ms old). A `serve` has its log to itself: stop that one first, or run only `ingest`, `gateway` and `project`"
    )]
    Taken {
        /// The other node.
        node: Uuid,
        /// Where it is reached.
        address: String,
        /// How old its newest heartbeat is, by the broker's stamps.
        age_ms: i64,
    },
    /// Another process was there first under this node's id, and lives. Known some two seconds after this one joined.
    #[error(
        "another process at {address} is on this log under this node's id {node} (its life is {life}): was the data directory copied? Delete `node-id` in one of the two directories"
    )]
    Twin {
        /// The id of both.
        node: Uuid,
        /// The other process.
        life: Uuid,
        /// Where it is reached.
        address: String,
    },
}
