//! Why a view could not be compared or built.

use teamlog_log::{FeedError, Offset, TopicPartition};

use crate::{db::DbError, fingerprint::OtherSchema, projector::ProjectError, search::SearchError};

/// Why a view could not be compared or built.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// An error of the view's database, or of a copy beside it.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// An error of the search index, or of a copy beside it.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The log.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// An event that counts and that this program cannot read.
    #[error("{source_partition} offset {offset}: {why}")]
    Undecodable {
        /// The source.
        source_partition: TopicPartition,
        /// Where.
        offset: Offset,
        /// The decoder's words.
        why: String,
    },
    /// The log gave nothing more before a place that it says it has.
    #[error("{source_partition} gave nothing more at offset {at}; {wanted} was to be reached")]
    Stalled {
        /// The source.
        source_partition: TopicPartition,
        /// How far it came.
        at: Offset,
        /// The offset that should have been reached.
        wanted: Offset,
    },
    /// There is nothing to switch to.
    #[error("no new generation of {view} on {replica} is built")]
    NotBuilt {
        /// The view.
        view: String,
        /// The replica.
        replica: String,
    },
    /// The folder for the fold.
    #[error("the folder for the fold: {0}")]
    Scratch(#[from] std::io::Error),
}

impl VerifyError {
    /// The other schema that the view is of, if that is why.
    pub fn other_schema(&self) -> Option<&OtherSchema> {
        match self {
            VerifyError::Project(why) => why.other_schema(),
            VerifyError::Search(SearchError::OtherSchema(other)) => Some(other),
            VerifyError::Search(_)
            | VerifyError::Feed(_)
            | VerifyError::Undecodable { .. }
            | VerifyError::Stalled { .. }
            | VerifyError::NotBuilt { .. }
            | VerifyError::Scratch(_) => None,
        }
    }
}

impl From<DbError> for VerifyError {
    fn from(error: DbError) -> Self {
        VerifyError::Project(error.into())
    }
}
