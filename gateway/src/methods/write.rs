//! The path of every write: a command, its outcome, and the wait until the caller can see what it did.

use teamlog_ingest::{Answer, Command, Made, Refusal, Request, commands::Act};
use teamlog_live::LiveTeam;
use teamlog_log::Position;
use teamlog_schemas::UserId;
use tokio::time::Instant;
use tracing::warn;

use super::Call;
use crate::{
    ApiError,
    error::{Done, settle},
};

impl Call<'_> {
    /// Does a command in the caller's name, under the call's key, and returns its event. For commands that are either done or
    /// refused.
    pub(super) async fn make<A: Act<Otherwise = Refusal> + Into<Command>>(
        &self,
        act: A,
    ) -> Result<Made<A::Made>, ApiError> {
        self.write(act).await?.made()
    }

    /// Does a command in the caller's name, under the call's key. For commands that may also find that there is nothing to do.
    pub(super) async fn write<A: Act + Into<Command>>(&self, act: A) -> Result<Done<A::Made>, ApiError> {
        let caller = self.caller()?;
        self.write_as(&caller.team, Some(caller.user), self.key.clone(), act).await
    }

    /// Does one of several commands of a call: its key is made from the call's (`key/1`, ...).
    pub(super) async fn write_step<A: Act + Into<Command>>(
        &self,
        step: u32,
        act: A,
    ) -> Result<Done<A::Made>, ApiError> {
        let caller = self.caller()?;
        self.write_as(&caller.team, Some(caller.user), self.step_key(step), act).await
    }

    /// The key of one of several writes.
    pub(super) fn step_key(&self, step: u32) -> Option<String> {
        self.key.as_ref().map(|key| format!("{key}/{step}"))
    }

    /// Does a command in the name of a member, or of the operators. When it returns, the caller sees what the command did, or
    /// what was so already.
    pub(super) async fn write_as<A: Act + Into<Command>>(
        &self,
        team: &LiveTeam,
        actor: Option<UserId>,
        key: Option<String>,
        act: A,
    ) -> Result<Done<A::Made>, ApiError> {
        let request = Request {
            team: team.id(),
            actor,
            method: self.method.into(),
            key,
            deadline: self.deadline(),
            traceparent: self.traceparent.clone(),
            command: act.into(),
        };
        let (ingest, partition) = (self.gateway.ingest(), team.partition());
        let answer = match self.after_a_loss {
            true => Box::pin(ingest.submit_after_a_loss(partition, request)).await,
            false => ingest.submit(partition, request).await,
        };
        self.seen(&answer).await;
        settle(answer)
    }

    /// When the caller stops waiting for a write.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.gateway.config().write_deadline
    }

    /// Waits until the view reflects an acknowledged write. The write is done, so a view that does not catch up in time is
    /// no error here: an answer from the event alone is right, and a thing not found in the view is an unknown outcome.
    pub(super) async fn seen(&self, answer: &Answer) {
        let Some((partition, Position { offset, .. })) = answer.seen_at() else { return };
        if let Err(why) = self.gateway.ingest().teams().wait_for(partition, offset).await {
            warn!(%why, method = self.method, %partition, %offset, "what a caller was answered is not in view yet");
        }
    }
}
