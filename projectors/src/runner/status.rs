//! The status of a view, as the runner reports it.

use std::collections::{BTreeMap, BTreeSet};

use teamlog_log::{Position, TopicPartition};

/// The progress of one view on one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The sources that this process follows. Other processes may follow the rest of the view's sources.
    pub sources: BTreeSet<TopicPartition>,
    /// The applied position in each of `sources`. A source without an entry has not been started.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// The sources that are no longer read, and why. An operator must act.
    pub stopped: BTreeMap<TopicPartition, String>,
    /// Why the last attempt failed, while it is failing.
    pub failing: Option<String>,
    /// True if the view fails because it has another schema: it must be rebuilt.
    pub needs_rebuild: bool,
}

/// A view on a replica, and its progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// The replica, without credentials.
    pub replica: String,
    /// The sources that this process follows.
    pub sources: Vec<TopicPartition>,
    /// The progress in those sources.
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
    /// The source is no longer read, and why.
    #[error("{0}")]
    Stopped(String),
}
