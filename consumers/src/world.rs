//! The operations on teamlog that a consumer may use: reads and commands.

use std::{borrow::Cow, sync::Arc, time::Duration};

use teamlog_ingest::{Answer, Command, Ingest, Refusal, Request};
use teamlog_live::{LiveTeam, TeamsError};
use teamlog_projectors::Shards;
use teamlog_schemas::{Event, TeamId, UserId};
use tokio::time::Instant;

use crate::{Job, JobEnd};

/// How long a command may wait for its answer. Past it the work is tried again under its key.
const COMMAND_WAIT: Duration = Duration::from_secs(10);

/// The way inside. Cheap to clone.
#[derive(Clone)]
pub struct World {
    ingest: Ingest,
    shards: Shards,
}

impl World {
    /// Reads and writes through these.
    pub fn new(ingest: Ingest, shards: Shards) -> World {
        World { ingest, shards }
    }

    /// Returns a live team.
    ///
    /// # Errors
    /// As [`Ingest::team`].
    pub async fn team(&self, team: TeamId) -> Result<Arc<LiveTeam>, TeamsError> {
        self.ingest.team(team).await
    }

    /// Returns the rows, for what the live team does not hold: read at X, to be brought to now by the tail.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Returns the way in.
    pub fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// Hands in the command of a piece of work and waits until it counts, under the key `<consumer>/<event id>/<number>`:
    /// however often and wherever the work is run, the command happens once, and each run hears of the one event. None if
    /// there was nothing to do. The key is remembered for two days of its team's events; one piece of work hands in one
    /// command, and what needs several is several pieces.
    ///
    /// # Errors
    /// [`Undone`]; its [`JobEnd`] is what the work ends with, unless the consumer knows better of a refusal.
    pub async fn submit<W: Sync>(
        &self,
        job: &Job<W>,
        actor: Option<UserId>,
        command: impl Into<Command>,
    ) -> Result<Option<Arc<Event>>, Undone> {
        let request = Request {
            team: job.team,
            actor,
            method: Cow::Owned(format!("jobs.{}", job.id.consumer)),
            key: Some(job.key()),
            deadline: Instant::now() + COMMAND_WAIT,
            traceparent: None,
            command: command.into(),
        };
        match self.ingest.submit(job.partition, request).await {
            Answer::Acked(acked) => Ok(Some(acked.event)),
            Answer::Nothing { .. } => Ok(None),
            Answer::Refused(why) => Err(Undone::Refused(why)),
            Answer::NotAccepted { retry_after, why } => {
                Err(Undone::NotNow { why: format!("not accepted: {why:?}"), wait: retry_after })
            }
            Answer::Unknown => Err(Undone::NotNow { why: "its outcome is unknown".to_owned(), wait: Duration::ZERO }),
        }
    }
}

/// Why a command is not known to have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The command is not allowed or not possible in the current state.
    Refused(Refusal),
    /// The command was not executed, or its outcome is unknown. A retry with the same key finds out.
    NotNow {
        /// For the operator.
        why: String,
        /// The wait that is worth while.
        wait: Duration,
    },
}

impl From<Undone> for JobEnd {
    fn from(undone: Undone) -> JobEnd {
        match undone {
            Undone::Refused(why) => JobEnd::Never(format!("refused: {}", why.code())),
            Undone::NotNow { why, wait } => JobEnd::Again { why, wait: Some(wait) },
        }
    }
}
