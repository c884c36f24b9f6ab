//! Why a partition cannot be read.

use uuid::Uuid;

use crate::{LogError, Offset, TopicPartition};

/// Why a partition cannot be read any further, or not from a position.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FeedError {
    /// The log's own error; [`LogError::Unavailable`] may pass.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The position is of another log: this one was made anew.
    #[error(
        "{source_partition} is not the log that a view was built from (its log_id is {}, the view's {wanted}): rebuild the view, or bring the old log back",
        named(here)
    )]
    OtherLog {
        /// The partition.
        source_partition: TopicPartition,
        /// The log's id; nil if it has no claim yet.
        here: Uuid,
        /// The position's.
        wanted: Uuid,
    },
    /// The log was cut short below the position and written on.
    #[error(
        "log_rewritten: {source_partition} has another history below offset {offset} than a view was built from: rebuild the view"
    )]
    Rewritten {
        /// The partition.
        source_partition: TopicPartition,
        /// The two histories differ before this offset.
        offset: Offset,
    },
    /// The partition is not one of this feed's.
    #[error("{0} is not read here")]
    NotRead(TopicPartition),
    /// The requested entries are more than one scan may hold.
    #[error("{source_partition} from {from} on is more than a scan may hold ({bytes_max} bytes)")]
    TooFar {
        /// The partition.
        source_partition: TopicPartition,
        /// Where the scan began.
        from: Offset,
        /// The bound.
        bytes_max: usize,
    },
    /// The process is stopping.
    #[error("the feed is stopping")]
    Stopping,
}

impl FeedError {
    /// Whether trying again may help.
    pub fn may_pass(&self) -> bool {
        matches!(self, FeedError::Log(LogError::Unavailable(_)))
    }
}

fn named(log_id: &Uuid) -> String {
    if log_id.is_nil() { "not chosen yet".to_owned() } else { log_id.to_string() }
}
