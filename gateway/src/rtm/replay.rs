//! What a session has missed: found by one read of the log from its place, and sent piece by piece.

use std::{collections::VecDeque, sync::Arc};

use teamlog_ingest::{LiveTeam, TeamsError};
use teamlog_log::{Entry, FeedError, Offset, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, UserId};
use teamlog_state::Team;

use super::{
    frame::{Addressed, Frame},
    ticket::Place,
    visible::Inside,
};
use crate::Gateway;

/// Entries that are looked at before the team's lock is let go.
const ENTRIES_AT_ONCE: usize = 1024;

/// Why what was missed cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// It may be told later, or by another node.
    #[error("{0}")]
    Away(String),
    /// It never will be: the client starts over.
    #[error("{0}")]
    Gone(String),
}

impl From<FeedError> for ReplayError {
    fn from(error: FeedError) -> Self {
        let why = error.to_string();
        if error.may_pass() || error == FeedError::Stopping { ReplayError::Away(why) } else { ReplayError::Gone(why) }
    }
}

impl From<TeamsError> for ReplayError {
    fn from(error: TeamsError) -> Self {
        ReplayError::Away(error.to_string())
    }
}

/// Ends once the teams here reflect what a client that stands at `place` was sent: the place may come from another
/// process, and this one may not be so far yet.
///
/// # Errors
/// [`ReplayError::Gone`] if it lies behind the log's end: then it is of another log, or of what an older copy of this
/// one, which was put back, does not have.
pub(super) async fn come_to(gateway: &Gateway, partition: Partition, place: Place) -> Result<(), ReplayError> {
    let teams = gateway.ingest().teams();
    // A place in the middle of an event lies behind its beginning.
    let reflected = if place.skip == 0 { place.position.offset } else { place.position.offset.next() };
    if reflected <= teams.position(partition).offset {
        return Ok(());
    }
    let end = gateway.feed().log().end(TopicPartition::events(partition)).await.map_err(FeedError::from)?;
    if reflected > end {
        return Err(ReplayError::Gone(format!("offset {reflected} lies behind the end of the log, {end}")));
    }
    Ok(teams.wait_for(partition, reflected).await?)
}

/// The entries between a session's place and where its team stood when they were read, with what its user could see.
pub(super) struct Replay {
    entries: VecDeque<Arc<Entry<Event>>>,
    inside: Inside,
    /// Everything below has been looked at.
    place: Place,
    /// Where it ends.
    until: Position,
}

/// Frames rendered for those who catch up: a whole office misses the same events.
pub(super) type Rendered = moka::sync::Cache<(Partition, Offset), Arc<Addressed>>;

/// At most so many bytes of `frames` are kept.
pub(super) fn rendered(bytes_max: u64) -> Rendered {
    let weigh = |_: &(Partition, Offset), frames: &Arc<Addressed>| {
        let bytes: usize = frames.iter().map(|(_, frame)| frame.cost()).sum();
        u32::try_from(bytes + 64).unwrap_or(u32::MAX)
    };
    moka::sync::Cache::builder().max_capacity(bytes_max).weigher(weigh).build()
}

impl Replay {
    /// Reads what lies between `place` and where the team stands.
    pub(super) async fn read(
        gateway: Gateway,
        live: Arc<LiveTeam>,
        user: UserId,
        place: Place,
    ) -> Result<Replay, ReplayError> {
        let partition = live.partition();
        come_to(&gateway, partition, place).await?;
        let (inside, until) = {
            let team = live.read();
            (team.conversations_of(user).map(|c| c.conversation).collect(), team.position())
        };
        // The feed is never behind its teams, so this reaches at least to `until`.
        let entries = gateway.feed().scan(TopicPartition::events(partition), place.position).await?;
        let entries: Vec<_> = entries.into_iter().filter(|entry| entry.offset < until.offset).collect();
        let inside = Inside::before(live.id(), user, inside, &entries);
        Ok(Replay { entries: entries.into(), inside, place, until })
    }

    /// The frames of the next event that has any for this user, or none of many that have not: `team`, which reflects
    /// all of it, is locked meanwhile. [`None`] at the end.
    pub(super) fn next(&mut self, team: &Team, rendered: &Rendered) -> Option<Vec<Arc<Frame>>> {
        for _ in 0..ENTRIES_AT_ONCE {
            let Some(entry) = self.entries.pop_front() else {
                self.place = Place::at(self.until);
                return None;
            };
            let before = std::mem::replace(&mut self.place, Place::at(entry.after));
            let Some(event) = entry.event().filter(|event| event.team() == Some(team.id())) else { continue };
            let frames = self.inside.pass(event, |inside| {
                if !inside.may_concern(event) {
                    return Vec::new();
                }
                let all = rendered.get_with((entry.source.partition, entry.offset), || {
                    Arc::new(Frame::all(event, team, before.position, entry.after))
                });
                let ours = all.iter().skip(before.skip as usize).filter(|(audience, _)| inside.is_addressed(audience));
                ours.map(|(_, frame)| frame.clone()).collect::<Vec<_>>()
            });
            if !frames.is_empty() {
                return Some(frames);
            }
        }
        Some(Vec::new())
    }

    /// Everything below has been looked at: what [`Replay::next`] gave last included.
    pub(super) fn place(&self) -> Place {
        self.place
    }
}
