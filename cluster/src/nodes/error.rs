//! The reasons for which a process may not join the nodes.

use uuid::Uuid;

/// The reason for which a node may not continue.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JoinError {
    /// A node lives on this log that may not share it with this one.
    #[error(
        "node {node} at {address} is on this log (its last heartbeat is {age_ms} ms old). A `serve` has its log to itself: stop that one first, or run only `ingest`, `gateway` and `project`"
    )]
    Taken {
        /// The other node.
        node: Uuid,
        /// Where it is reached.
        address: String,
        /// The age of its newest heartbeat, by the broker's stamps, in milliseconds.
        age_ms: i64,
    },
    /// Another process joined first with this node's id, and still lives. Detected about two seconds after this one joined.
    #[error(
        "another process at {address} is on this log under this node's id {node} (its life is {life}): was the data directory copied? Delete `node-id` in one of the two directories"
    )]
    Twin {
        /// The id of both processes' node.
        node: Uuid,
        /// The id of the other process.
        life: Uuid,
        /// Where it is reached.
        address: String,
    },
}
