//! Why nothing could be found, or nothing written.

use teamlog_log::{FeedError, TopicPartition};

use crate::fingerprint::OtherSchema;

/// Why nothing could be found, or nothing written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SearchError {
    /// The index on disk. If it is broken, its directory may be removed: it is built again from the log.
    #[error("the search index in {dir}: {why}")]
    Index {
        /// Where it lies.
        dir: String,
        /// What is wrong.
        why: String,
    },
    /// Another version of this program built it, with other fields.
    #[error(transparent)]
    OtherSchema(#[from] OtherSchema),
    /// The events that the index has not seen yet cannot be read.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Entries that do not follow those before: another projector writes, or an attempt was broken off. The projector's
    /// positions say where to go on.
    #[error("the search index stands elsewhere in {0}")]
    Overtaken(TopicPartition),
}
