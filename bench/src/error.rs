//! The errors of a bench.

use std::path::PathBuf;

use teamlog_log::LogError;
use teamlog_projectors::VerifyError;

/// The reason why a bench has no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The server is unavailable, or the connection broke.
    #[error("no server answers at {at}: {why}")]
    Away {
        /// The address.
        at: String,
        /// The error of the connection.
        why: String,
    },
    /// The server enforces rate limits: the bench would measure these.
    #[error("the server limits rates (429 on {method}): a bench needs `[limits] enabled = false` where it runs")]
    Limited {
        /// The method that was called.
        method: String,
    },
    /// An answer after which the bench cannot continue.
    #[error("{method}: {error}")]
    Refused {
        /// The method that was called.
        method: String,
        /// The server's code, or what is wrong with its answer.
        error: String,
    },
    /// The request of the bench's user cannot be carried out.
    #[error("{0}")]
    Usage(String),
    /// A file of tokens, or the folder for scratch files, could not be used.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        why: std::io::Error,
    },
    /// A socket ended, or a message did not arrive.
    #[error("{0}")]
    Socket(String),
    /// The raw log beside the server failed.
    #[error("the raw log")]
    RawLog(#[from] LogError),
    /// The raw file beside the server failed.
    #[error("the raw file")]
    RawFile(#[from] sqlx::Error),
    /// A view failed, or the log that it is built from.
    #[error("a view")]
    View(#[from] VerifyError),
    /// A task or a process of the bench ended early.
    #[error("a part of the bench ended early: {0}")]
    Lost(&'static str),
}

impl BenchError {
    /// Returns true if a part is unavailable and may come back.
    pub fn is_away(&self) -> bool {
        matches!(self, BenchError::Away { .. } | BenchError::RawLog(LogError::Unavailable(_)))
    }
}
