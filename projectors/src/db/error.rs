//! What goes wrong between a view and its database.

use teamlog_log::TopicPartition;

/// Why a replica could not be read or written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DbError {
    /// It does not answer, or gave up a transaction. Nothing was changed that a repeat would not do again.
    #[error("{replica} does not answer: {why}")]
    Away {
        /// The replica, without credentials.
        replica: String,
        /// The driver's words.
        why: String,
    },
    /// Another projector has moved this view's position meanwhile.
    #[error("another projector of this view has moved {0}")]
    Overtaken(TopicPartition),
    /// A row that cannot be.
    #[error("a row that cannot be read: {0}")]
    Broken(String),
    /// Not `mysql://user@host/database` nor `sqlite://path`.
    #[error("{0}")]
    Url(String),
}

impl DbError {
    /// Any error of the driver: what is wrong with a statement of ours is found by tests, so in service it passes or a
    /// person must look at the database; in both cases trying again is right.
    pub(crate) fn driver(replica: &str, error: &sqlx::Error) -> DbError {
        DbError::Away { replica: replica.to_owned(), why: error.to_string() }
    }

    /// A row that cannot be.
    pub(crate) fn broken(why: impl std::fmt::Display) -> DbError {
        DbError::Broken(why.to_string())
    }
}
