//! Work that failed for good, as operators see it. What consumers do is not the gateway's business: it asks through this trait.

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
    /// Keys that its tries used may be forgotten by now: what it does inside may happen a second time.
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

    /// The event that one follows from; none if the log has it no more.
    ///
    /// # Errors
    /// [`JobsError`]
    async fn event(&self, job: &str) -> Result<Option<Value>, JobsError>;

    /// Has one tried again by whoever runs its kind. False if there is none.
    ///
    /// # Errors
    /// [`JobsError`]
    async fn retry(&self, job: &str) -> Result<bool, JobsError>;

    /// Drops one for good. False if there is none.
    ///
    /// # Errors
    /// [`JobsError`]
    async fn drop_job(&self, job: &str) -> Result<bool, JobsError>;
}
