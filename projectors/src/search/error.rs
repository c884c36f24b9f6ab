//! The errors of searching and indexing.

use teamlog_log::{FeedError, TopicPartition};

use crate::fingerprint::OtherSchema;

/// Why a search or a write to the index failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SearchError {
    /// The index on disk. If it is broken, its directory may be removed: it is built again from the log.
    #[error("the search index in {dir}: {why}")]
    Index {
        /// The index's directory.
        dir: String,
        /// The reason.
        why: String,
    },
    /// Another version of this program built the index, with other fields.
    #[error(transparent)]
    OtherSchema(#[from] OtherSchema),
    /// The events after the index's position cannot be read.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The entries do not continue at the index's position: another projector wrote, or an attempt was cancelled. Continue
    /// from the projector's positions.
    #[error("the search index stands elsewhere in {0}")]
    Overtaken(TopicPartition),
}
