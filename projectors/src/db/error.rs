//! The errors of a view's database.

use teamlog_log::TopicPartition;

use crate::fingerprint::OtherSchema;

/// Why a replica could not be read or written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DbError {
    /// The replica is unavailable, or it aborted a transaction. Retrying is safe: whatever was changed, a retry would change
    /// again.
    #[error("{replica} does not answer: {why}")]
    Away {
        /// The replica, without credentials.
        replica: String,
        /// The driver's words.
        why: String,
    },
    /// Another projector moved this view's position in the meantime.
    #[error("another projector of this view has moved {0}")]
    Overtaken(TopicPartition),
    /// The database aborted this transaction at once because another one uses the same rows. A retry normally succeeds.
    #[error("{replica} gave up a transaction for another one: {why}")]
    Contended {
        /// The replica, without credentials.
        replica: String,
        /// The driver's words.
        why: String,
    },
    /// Another version of this program built the replica, with another schema.
    #[error(transparent)]
    OtherSchema(#[from] OtherSchema),
    /// A row that cannot be decoded.
    #[error("a row that cannot be read: {0}")]
    Broken(String),
    /// A URL that is neither `mysql://user@host/database` nor `sqlite://path`.
    #[error("{0}")]
    Url(String),
}

impl DbError {
    /// Converts an error of the driver. Every such error is retried: tests find faulty statements, so in service the error
    /// either passes, or an operator must repair the database.
    pub(crate) fn driver(replica: &str, error: &sqlx::Error) -> DbError {
        let (replica, why) = (replica.to_owned(), error.to_string());
        if is_contention(error) { DbError::Contended { replica, why } } else { DbError::Away { replica, why } }
    }

    /// Makes the error for a row that cannot be decoded.
    pub(crate) fn broken(why: impl std::fmt::Display) -> DbError {
        DbError::Broken(why.to_string())
    }
}

/// True if another transaction caused the error. In MySQL: a deadlock, or a row that changed since the transaction's
/// snapshot. In both databases: a row that both transactions insert. A timeout while waiting for a lock does not count:
/// the holder of the lock may hang.
fn is_contention(error: &sqlx::Error) -> bool {
    const DEADLOCK: u16 = 1213;
    const CHANGED: u16 = 1020;
    let Some(error) = error.as_database_error() else { return false };
    let number = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(|error| error.number());
    error.is_unique_violation() || matches!(number, Some(DEADLOCK | CHANGED))
}
