//! The way of every write: a command, its outcome, and the wait until the caller can see what they did.

use std::sync::Arc;

use teamlog_ingest::{Answer, Command, Request};
use teamlog_log::Position;
use teamlog_schemas::{Event, TeamId, UserId};
use tokio::time::Instant;
use tracing::warn;

use super::Call;
use crate::{
    ApiError,
    error::{Done, settle},
};

impl Call<'_> {
    /// A write of the caller's own, under the call's key.
    pub(super) async fn write(&self, command: Command) -> Result<Done, ApiError> {
        let caller = self.caller()?;
        self.write_as(caller.team.id(), Some(caller.user), self.key.clone(), command).await
    }

    /// One of several writes of a call: its key is made from the call's (`key/1`, ...).
    pub(super) async fn write_step(&self, step: u32, command: Command) -> Result<Done, ApiError> {
        let caller = self.caller()?;
        self.write_as(caller.team.id(), Some(caller.user), self.step_key(step), command).await
    }

    /// The key of one of several writes.
    pub(super) fn step_key(&self, step: u32) -> Option<String> {
        self.key.as_ref().map(|key| format!("{key}/{step}"))
    }

    /// A write in somebody's name, or the operators'. When it comes back, the caller sees what it did, or what was so already.
    pub(super) async fn write_as(
        &self,
        team: TeamId,
        actor: Option<UserId>,
        key: Option<String>,
        command: Command,
    ) -> Result<Done, ApiError> {
        let request = Request {
            team,
            actor,
            method: self.method.into(),
            key,
            deadline: self.deadline(),
            traceparent: self.traceparent.clone(),
            command,
        };
        let ingest = self.gateway.ingest();
        let answer =
            if self.after_a_loss { ingest.submit_after_a_loss(request).await } else { ingest.submit(request).await };
        self.seen(&answer).await;
        settle(answer)
    }

    /// When the caller stops waiting for a write.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.gateway.config().write_deadline
    }

    /// Waits until the view reflects what an answer says. It has happened, so a view that does not come along makes no
    /// error here: what is rendered from the event alone is right, and what is not found in the view is an unknown outcome.
    pub(super) async fn seen(&self, answer: &Answer) {
        let Some((partition, Position { offset, .. })) = answer.seen_at() else { return };
        if let Err(why) = self.gateway.ingest().teams().wait_for(partition, offset).await {
            warn!(%why, method = self.method, %partition, %offset, "what a caller was answered is not in view yet");
        }
    }
}

/// The event of a write that always has one.
///
/// # Errors
/// `outcome_unknown` if there was nothing to do, for then nobody knows what the caller asked.
pub(super) fn event_of(done: Done) -> Result<Arc<Event>, ApiError> {
    match done {
        Done::Acked(acked) => Ok(acked.event),
        Done::Nothing(_) => Err(ApiError::outcome_unknown()),
    }
}
