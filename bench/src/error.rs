//! How a bench goes wrong.

use std::path::PathBuf;

use teamlog_log::LogError;
use teamlog_projectors::VerifyError;

/// Why a bench has no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Nobody answers, or what was connected broke off.
    #[error("no server answers at {at}: {why}")]
    Away {
        /// The address.
        at: String,
        /// What the connection came to.
        why: String,
    },
    /// The server limits rates, so it would measure its limits.
    #[error("the server limits rates (429 on {method}): a bench needs `[limits] enabled = false` where it runs")]
    Limited {
        /// The method that was called.
        method: String,
    },
    /// An answer that a bench cannot go on from.
    #[error("{method}: {error}")]
    Refused {
        /// The method that was called.
        method: String,
        /// The server's code, or what is wrong with its answer.
        error: String,
    },
    /// What was asked for cannot be done.
    #[error("{0}")]
    Usage(String),
    /// A file of tokens, or the place for scratch files.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// A socket that ended, or a message that did not come.
    #[error("{0}")]
    Socket(String),
    /// The raw log beside the server.
    #[error("the raw log")]
    RawLog(#[from] LogError),
    /// The raw file beside the server.
    #[error("the raw file")]
    RawFile(#[from] sqlx::Error),
    /// A view, or the log that it is built from.
    #[error("a view")]
    View(#[from] VerifyError),
    /// A task of the bench's own is gone.
    #[error("a part of the bench ended early: {0}")]
    Lost(&'static str),
}

impl BenchError {
    /// Whether a part is away that may come back.
    pub fn is_away(&self) -> bool {
        matches!(self, BenchError::Away { .. } | BenchError::RawLog(LogError::Unavailable(_)))
    }
}
