//! Why a team cannot be had.

use teamlog_log::{FeedError, Offset};

/// Why a team cannot be had.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TeamsError {
    /// The directory has no such team.
    #[error("no such team")]
    NotFound,
    /// The team is registered but not created: the second step of its creation is still to be done.
    #[error("the team has not begun as of offset {0}")]
    NotBegun(Offset),
    /// A part that the team is read from is unavailable. The caller may retry.
    #[error("{0}")]
    Away(String),
    /// The shard lags by more records than one scan may read. The error ends when the projector catches up.
    #[error("{0}")]
    TooFar(String),
    /// Its partition cannot be read on: a person must act.
    #[error("{0}")]
    Stopped(String),
}

impl From<FeedError> for TeamsError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::TooFar { .. } => TeamsError::TooFar(error.to_string()),
            _ if error.may_pass() => TeamsError::Away(error.to_string()),
            _ => TeamsError::Stopped(error.to_string()),
        }
    }
}
