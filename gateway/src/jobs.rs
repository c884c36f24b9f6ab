//! Work that failed for good, as operators see it. The gateway knows consumers only through this trait.

use async_trait::async_trait;
use serde_json::Value;
use teamlog_schemas::{TeamId, Ts};

/// Work that failed for good: a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadJob {
    /// Its name: `<kind>/<event id>/<number>`.
    pub job: String,
    /// The consumer that it is of.
    pub kind: String,
    /// The team of the event that it follows from.
    pub team: TeamId,
    /// The event's partition of `events`.
    pub partition: u32,
    /// The event's offset.
    pub offset: u64,
    /// Tries, all of which failed.
    pub tries: u32,
    /// Why the last one failed.
    pub why: String,
    /// When it was given up.
    pub failed_at: Ts,
    /// True if it is being retried.
    pub is_retried: bool,
    /// True if the idempotency keys of its tries may have expired: a retry may repeat its writes.
    pub may_repeat: bool,
}

/// Why dead letters could not be read or changed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JobsError {
    /// The log is unavailable, and the operation may or may not have been done. It is safe to retry.
    #[error("the log does not answer: {0}")]
    Away(String),
}

/// The dead letters of all consumers.
#[async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// Returns the dead letters of a kind, of a team, or of both, in the order in which they failed.
    fn dead(&self, kind: Option<&str>, team: Option<TeamId>) -> Vec<DeadJob>;

    /// Returns a dead letter by its name.
    fn find(&self, job: &str) -> Option<DeadJob>;

    /// Returns the event that a dead letter follows from; none if the log no longer has it.
    ///
    /// # Errors
    /// [`JobsError`]
    async fn event(&self, job: &str) -> Result<Option<Value>, JobsError>;

    /// Marks a dead letter for retry by the node that runs its consumer. False if there is no such dead letter.
    ///
    /// # Errors
    /// [`JobsError`]
    async fn retry(&self, job: &str) -> Result<bool, JobsError>;

    /// Drops a dead letter for good. False if there is no such dead letter.
    ///
    /// # Errors
    /// [`JobsError`]
    async fn drop_job(&self, job: &str) -> Result<bool, JobsError>;
}
