//! What goes wrong between a view and its database.

use teamlog_log::TopicPartition;

use crate::fingerprint::OtherSchema;

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
    /// Another transaction is at the same rows, and this one was given up at once for it. A repeat does it.
    #[error("{replica} gave up a transaction for another one: {why}")]
    Contended {
        /// The replica, without credentials.
        replica: String,
        /// The driver's words.
        why: String,
    },
    /// Another version of this program built it, with another schema.
    #[error(transparent)]
    OtherSchema(#[from] OtherSchema),
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
        let (replica, why) = (replica.to_owned(), error.to_string());
        if is_contention(error) { DbError::Contended { replica, why } } else { DbError::Away { replica, why } }
    }

    /// A row that cannot be.
    pub(crate) fn broken(why: impl std::fmt::Display) -> DbError {
        DbError::Broken(why.to_string())
    }
}

/// MySQL: a deadlock, or a row that changed since the transaction's snapshot. On either database: a row that both want
/// to be the first to insert. A lock that was waited for in vain is none of these: who holds it may hang.
fn is_contention(error: &sqlx::Error) -> bool {
    const DEADLOCK: u16 = 1213;
    const CHANGED: u16 = 1020;
    let Some(error) = error.as_database_error() else { return false };
    let number = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(|error| error.number());
    error.is_unique_violation() || matches!(number, Some(DEADLOCK | CHANGED))
}
