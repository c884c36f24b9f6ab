//! Replay of the events that a session has missed: found by one read of the log from its place, and sent in pieces.

use std::{collections::VecDeque, sync::Arc};

use teamlog_live::{LiveTeam, TeamsError};
use teamlog_log::{Entry, FeedError, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, UserId};
use teamlog_state::Team;

use super::{room::Held, state::Rtm};
use crate::{
    Gateway,
    frames::{Frame, Inside, Place},
};

/// Entries that are handled before the team's lock is released.
const ENTRIES_AT_ONCE: usize = 1024;

/// The reason why missed events cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// The events are unavailable now. They may be read later, or by another node.
    #[error("{0}")]
    Away(String),
    /// The events cannot be read any more: the client starts over.
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

/// Waits until the teams here reflect everything that a client at `place` was sent. The place may come from another
/// process that has read more of the log.
///
/// # Errors
/// [`ReplayError::Gone`] if the place is after the log's end: then it belongs to another log, or the log was restored from
/// an older copy.
pub(super) async fn catch_up_to(gateway: &Gateway, partition: Partition, place: Place) -> Result<(), ReplayError> {
    let teams = gateway.ingest().teams();
    // A place within an event is after the event's offset.
    let reflected = if place.skip == 0 { place.position.offset } else { place.position.offset.next() };
    if reflected <= teams.position(partition).offset {
        return Ok(());
    }
    let end = gateway.feed().end(TopicPartition::events(partition)).await?;
    if reflected > end {
        return Err(ReplayError::Gone(format!("offset {reflected} lies behind the end of the log, {end}")));
    }
    Ok(teams.wait_for(partition, reflected).await?)
}

/// The events that may concern a session's user, from its place to the team's position when it was read, or as many of
/// them as the memory budget allows, with the conversations that the user could see.
pub(super) struct Replay {
    entries: VecDeque<Kept>,
    inside: Inside,
    /// Everything below was handled.
    place: Place,
    /// Where it ends.
    until: Position,
    /// For what it keeps; none only until it is read.
    room: Option<Held>,
}

/// An entry of a session's team that may concern its user.
struct Kept {
    /// The place of a session that was sent everything before this entry. Its `skip` counts frames of this entry.
    before: Place,
    entry: Arc<Entry<Event>>,
}

impl Replay {
    /// Reads the events between `place` and the team's position, once the memory budget allows.
    pub(super) async fn read(
        gateway: Gateway,
        live: Arc<LiveTeam>,
        user: UserId,
        place: Place,
    ) -> Result<Box<Replay>, ReplayError> {
        let rtm = gateway.rtm();
        catch_up_to(&gateway, live.partition(), place).await?;
        let mut room: Option<Held> = None;
        loop {
            let bytes_max = room.as_ref().map_or(rtm.config.catch_up_bytes_max, Held::bytes);
            let mut replay = Replay::scan(&gateway, &live, user, place, bytes_max).await?;
            let bytes = replay.bytes();
            if let Some(room) = room.or_else(|| rtm.catching_up.try_hold(bytes)) {
                replay.room = Some(room);
                return Ok(Box::new(replay));
            }
            // Do not hold the entries while waiting for the budget; read them again once it is granted.
            drop(replay);
            room = Some(rtm.catching_up.hold(bytes).await);
        }
    }

    /// Reads the log from `place` on, and keeps at most so many bytes, but at least one entry if there is any.
    async fn scan(
        gateway: &Gateway,
        live: &LiveTeam,
        user: UserId,
        place: Place,
        bytes_max: usize,
    ) -> Result<Replay, ReplayError> {
        let (inside, until) = {
            let team = live.read();
            (team.conversations_of(user).map(|c| c.conversation).collect(), team.position())
        };
        // The feed's end is never before its teams' position, so this reaches at least to `until`.
        let source = TopicPartition::events(live.partition());
        let entries = gateway.feed().scan(source, place.position).await?;
        let end = entries.partition_point(|entry| entry.offset < until.offset);
        let entries = &entries[..end];
        let inside = Inside::before(live.id(), user, inside, entries);
        let (entries, until) = concerning(inside.clone(), entries, place, until, bytes_max);
        Ok(Replay { entries, inside, place, until, room: None })
    }

    /// A rough number of bytes that it keeps from being freed.
    fn bytes(&self) -> usize {
        self.entries.iter().map(|kept| cost(&kept.entry)).sum()
    }

    /// Returns the frames of the next event that has any for this user, or no frames after many events without any. `team`,
    /// which reflects all of the replay, is locked meanwhile. Returns [`None`] at the end, or earlier if this has held its
    /// memory for long and others wait: then the rest must be read again.
    pub(super) fn next(&mut self, team: &Team, rtm: &Rtm) -> Option<Vec<Arc<Frame>>> {
        if self.room.as_ref().is_some_and(|room| room.is_overdue(&rtm.catching_up)) {
            return None;
        }
        for _ in 0..ENTRIES_AT_ONCE {
            let Some(Kept { before, entry }) = self.entries.pop_front() else {
                self.place = Place::at(self.until);
                return None;
            };
            self.place = Place::at(entry.after);
            let Some(event) = entry.event() else { continue };
            let frames = self.inside.pass(event, |inside| {
                if !inside.may_concern(event) {
                    return Vec::new();
                }
                let all = rtm.rendered.get_with((entry.source.partition, entry.offset), || {
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

    /// Returns the place up to which everything was handled, including the last result of [`Replay::next`].
    pub(super) fn place(&self) -> Place {
        self.place
    }
}

/// Returns the entries of a range of the log that may concern the user, and the end of that range: before `until` if not
/// all of them fit.
fn concerning(
    mut inside: Inside,
    entries: &[Arc<Entry<Event>>],
    from: Place,
    until: Position,
    bytes_max: usize,
) -> (VecDeque<Kept>, Position) {
    let (mut kept, mut before, mut bytes) = (VecDeque::new(), from, 0);
    for entry in entries {
        let event = entry.event().filter(|event| inside.is_of_team(event));
        if event.is_some_and(|event| inside.pass(event, |inside| inside.may_concern(event))) {
            bytes += cost(entry);
            if bytes > bytes_max && !kept.is_empty() {
                return (kept, before.position);
            }
            kept.push_back(Kept { before, entry: entry.clone() });
        }
        before = Place::at(entry.after);
    }
    (kept, until)
}

/// Roughly what an entry takes in memory: its text, and what is around it.
fn cost(entry: &Entry<Event>) -> usize {
    entry.bytes + 512
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use teamlog_log::{Body, Offset};
    use teamlog_schemas::{ConversationId, Message, MessagePosted, Meta, TeamId, Ts};
    use uuid::Uuid;

    use super::*;

    fn posted(offset: u64, team: &str, conversation: &str) -> Arc<Entry<Event>> {
        let meta = Meta {
            event_id: Uuid::nil(),
            team: team.parse().unwrap(),
            actor: None,
            at: Ts::ZERO,
            key: None,
            method: None,
        };
        let (mentions, opens_for) = (Vec::new(), Vec::new());
        let (conversation, message) = (conversation.parse().unwrap(), Message::default());
        let event = MessagePosted {
            meta,
            conversation,
            message,
            thread: None,
            mentions,
            broadcast: None,
            opens_for,
            unfurl: None,
            schedule: None,
        };
        Arc::new(Entry {
            source: TopicPartition::DIRECTORY,
            offset: Offset(offset),
            after: Position::bare(Offset(offset + 1)),
            body: Body::Event(Arc::new(event.into())),
            timestamp_ms: 0,
            bytes: 1000,
        })
    }

    #[test]
    fn what_concerns_nobody_here_is_not_kept_and_moves_the_places_all_the_same() {
        let (team, user): (TeamId, UserId) = ("T1".parse().unwrap(), "U1".parse().unwrap());
        let own: HashSet<ConversationId> = ["C1".parse().unwrap()].into();
        let log = [("T1", "C1"), ("T2", "C1"), ("T1", "C2"), ("T1", "C1"), ("T2", "C1"), ("T1", "C1"), ("T1", "C2")];
        let entries: Vec<_> = (10..).zip(log).map(|(offset, (team, c))| posted(offset, team, c)).collect();
        let from = Place { position: Position::bare(Offset(10)), skip: 2 };
        let check = |bytes_max, expected: &[(u64, u64, u32)], until| {
            let inside = Inside::before(team, user, own.clone(), &entries);
            let (kept, end) = concerning(inside, &entries, from, Position::bare(Offset(17)), bytes_max);
            let found: Vec<_> =
                kept.iter().map(|k| (k.entry.offset.0, k.before.position.offset.0, k.before.skip)).collect();
            assert_eq!((found.as_slice(), end.offset.0), (expected, until), "{bytes_max}");
        };
        check(usize::MAX, &[(10, 10, 2), (13, 13, 0), (15, 15, 0)], 17);
        check(4000, &[(10, 10, 2), (13, 13, 0)], 15);
        check(0, &[(10, 10, 2)], 13);
    }
}
