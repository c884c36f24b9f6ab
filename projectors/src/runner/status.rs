//! What the runner says of a view.

use std::collections::{BTreeMap, BTreeSet};

use teamlog_log::{Position, TopicPartition};

/// How far one view has come on one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is followed here; others may follow the rest of the view's sources.
    pub sources: BTreeSet<TopicPartition>,
    /// Applied in each of them; one that is missing has not begun.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// Those that are not read on, and why: a person must act.
    pub stopped: BTreeMap<TopicPartition, String>,
    /// Why the last attempt failed, while it is failing.
    pub failing: Option<String>,
    /// Whether it fails because the view is of another schema: it has to be rebuilt.
    pub needs_rebuild: bool,
}

/// A view on a replica and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// The replica, without credentials.
    pub replica: String,
    /// What it follows here.
    pub sources: Vec<TopicPartition>,
    /// How far it has come.
    pub progress: Progress,
}

/// Why waiting for a view ended early.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WaitError {
    /// No such view runs here, or it does not follow that source here.
    #[error("{view} does not follow {source_partition} here")]
    NotRun {
        /// The view.
        view: String,
        /// The source.
        source_partition: TopicPartition,
    },
    /// The source is not read on.
    #[error("{0}")]
    Stopped(String),
}
