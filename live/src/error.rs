//! Why a team cannot be had.

use teamlog_log::{FeedError, Offset};

/// Why a team cannot be had.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TeamsError {
    /// The directory does not know it.
    #[error("no such team")]
    NotFound,
    /// It is registered and has not begun: the second step of making it is still to be done.
    #[error("the team has not begun as of offset {0}")]
    NotBegun(Offset),
    /// Something that it is made of does not answer. It may pass.
    #[error("{0}")]
    Away(String),
    /// Its shard lags further behind than one scan may bridge. It passes when the projector catches up.
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
