//! The source of teams: a trait that the shards' reader implements and the live teams are loaded through.

use async_trait::async_trait;
use teamlog_schemas::{ConversationId, TeamId, Ts, UserId};

use crate::{Facts, FactsWanted, TeamRows, Timer};

/// Rows and the position that they reflect, from one snapshot of the database.
///
/// The position is generic (`P` is the log's `Position`), for this crate does not know the log.
#[derive(Clone, Debug)]
pub struct At<P, T> {
    /// Every event of the team's partition below it is reflected.
    pub position: P,
    /// The rows.
    pub rows: T,
}

impl<P, T> At<P, T> {
    /// Converts the rows and keeps their position.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> At<P, U> {
        At { position: self.position, rows: make(self.rows) }
    }
}

/// Why rows could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// No replica of the shard answered in time. The caller may retry.
    #[error("no replica of shard {shard} answers: {why}")]
    Away {
        /// The shard.
        shard: String,
        /// The error of the last replica that was tried.
        why: String,
    },
    /// Rows that cannot be: a person must look (`view verify`).
    #[error("shard {shard} holds a row that cannot be read: {why}")]
    Broken {
        /// The shard.
        shard: String,
        /// The reason.
        why: String,
    },
}

/// The state that belongs to one person alone, loaded on demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserState {
    /// Read marks by conversation.
    pub marks: std::collections::HashMap<ConversationId, Ts>,
}

impl UserState {
    /// Returns the `ts` up to which the person has read a conversation.
    pub fn mark(&self, conversation: ConversationId) -> Ts {
        self.marks.get(&conversation).copied().unwrap_or(Ts::ZERO)
    }
}

/// A reader of teams' rows.
#[async_trait]
pub trait TeamSource<P>: Send + Sync + 'static {
    /// All rows that a `Team` is made of; none if the shard has not seen the team begin. The position is given in
    /// both cases.
    async fn team(&self, shard: &str, team: TeamId) -> Result<At<P, Option<TeamRows>>, SourceError>;

    /// Facts for several commands of one team at once, one for each of `wanted`, in order.
    async fn facts(&self, shard: &str, team: TeamId, wanted: &[FactsWanted]) -> Result<At<P, Vec<Facts>>, SourceError>;

    /// Reads the timers of a partition's teams on a shard that are due before `until`, in order, at most `limit`. The position is that
    /// of `events` in the partition.
    async fn timers(
        &self,
        shard: &str,
        partition: u32,
        until: Ts,
        limit: usize,
    ) -> Result<At<P, Vec<Timer>>, SourceError>;

    /// Reads the state that belongs to one person alone. The position is that of `marks`.
    async fn user(&self, shard: &str, team: TeamId, user: UserId) -> Result<At<P, UserState>, SourceError>;
}
