//! Live sessions: event, its conversation, its members' queues.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use teamlog_log::{Entry, Partition, Position};
use teamlog_schemas::{ConversationId, ConversationKind, Event, TeamId, UserId};
use teamlog_state::{Conversation, PersonIndex, Team};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::frames::{Addressed, Audience, Frame, may_reach};

/// A notification that is in no log and may be lost: typing, presence, marks.
#[derive(Clone, Debug)]
pub(super) enum Note {
    /// A frame as it is sent.
    Frame(Bytes),
    /// The team has another home: the session must resume there.
    Home,
}

/// A session as the hub sees it, from its first frame to its last.
pub(super) struct Seat {
    pub(super) session: u64,
    pub(super) user: UserId,
    /// SHA-256 of the token that it came with.
    pub(super) token: [u8; 32],
    /// Bounded; what does not fit is dropped.
    pub(super) notes: mpsc::Sender<Note>,
    /// True once the session was told that its team's home is another node.
    pub(super) is_sent_home: bool,
    /// Cancelled when its token is revoked, and when the node stops.
    pub(super) over: CancellationToken,
    /// Set while the session is live. The queue is bounded. An event that does not fit closes it; the session then drains
    /// the queue and catches up from the log, so no event is dropped.
    pub(super) queue: Option<mpsc::Sender<Arc<Frame>>>,
}

#[derive(Default)]
struct TeamSessions {
    online: RoaringBitmap,
    by_person: HashMap<PersonIndex, Vec<Seat>>,
}

/// All sessions of this gateway.
///
/// Locks are taken in the order: partition (of the live teams), team, here. Nothing here takes another one.
#[derive(Default)]
pub(super) struct Hub {
    teams: Mutex<HashMap<TeamId, Arc<Mutex<TeamSessions>>>>,
    /// The position of each partition that ever had a live session. A frame needs the position before its event.
    reached: Mutex<HashMap<Partition, Position>>,
}

impl Hub {
    /// Registers a session. From now on it receives notes, and it ends when its token is revoked.
    pub(super) fn enter(&self, team: TeamId, person: PersonIndex, seat: Seat) {
        let mut teams = self.teams.lock();
        let mut sessions = teams.entry(team).or_default().lock();
        sessions.online.insert(person);
        sessions.by_person.entry(person).or_default().push(seat);
    }

    /// Makes a session live. To be called in [`Teams::join`](teamlog_live::Teams::join), at its own position.
    pub(super) fn go_live(
        &self,
        (team, person, session): (TeamId, PersonIndex, u64),
        (partition, at): (Partition, Position),
        queue_max: usize,
    ) -> Option<mpsc::Receiver<Arc<Frame>>> {
        self.reached.lock().insert(partition, at);
        let sessions = self.of(team)?;
        let mut sessions = sessions.lock();
        let seats = sessions.by_person.get_mut(&person)?;
        let seat = seats.iter_mut().find(|seat| seat.session == session)?;
        let (queue, frames) = mpsc::channel(queue_max);
        seat.queue = Some(queue);
        Some(frames)
    }

    /// Removes a session.
    pub(super) fn leave(&self, team: TeamId, person: PersonIndex, session: u64) {
        let mut teams = self.teams.lock();
        let Some(sessions) = teams.get(&team).cloned() else { return };
        let mut sessions = sessions.lock();
        if let Some(seats) = sessions.by_person.get_mut(&person) {
            seats.retain(|seat| seat.session != session);
            if seats.is_empty() {
                sessions.by_person.remove(&person);
                sessions.online.remove(person);
            }
        }
        if sessions.by_person.is_empty() {
            teams.remove(&team);
        }
    }

    /// How many sessions a team has here.
    pub(super) fn sessions(&self, team: TeamId) -> usize {
        self.of(team).map_or(0, |sessions| sessions.lock().by_person.values().map(Vec::len).sum())
    }

    /// The teams that have sessions here.
    pub(super) fn teams(&self) -> Vec<TeamId> {
        self.teams.lock().keys().copied().collect()
    }

    /// Tells up to `most` sessions of a team that its home is another node. Returns the number of sessions newly told.
    pub(super) fn send_home(&self, team: TeamId, most: usize) -> usize {
        let Some(sessions) = self.of(team) else { return 0 };
        let mut sessions = sessions.lock();
        let seats = sessions.by_person.values_mut().flatten().filter(|seat| !seat.is_sent_home);
        let mut told = 0;
        for seat in seats.take(most) {
            // A session whose notes are full is told the next time.
            seat.is_sent_home = seat.notes.try_send(Note::Home).is_ok();
            told += usize::from(seat.is_sent_home);
        }
        told
    }

    /// Sends a note to the sessions of a conversation's members, except `but`.
    pub(super) fn tell_members(&self, team: &Team, conversation: ConversationId, but: PersonIndex, frame: &Bytes) {
        let Some(conversation) = team.conversation(conversation) else { return };
        let Some(sessions) = self.of(team.id()) else { return };
        let sessions = sessions.lock();
        for person in (&conversation.members & &sessions.online).iter().filter(|person| *person != but) {
            sessions.by_person.get(&person).into_iter().flatten().for_each(|seat| seat.tell(frame));
        }
    }

    /// Sends a note to a person's own sessions.
    pub(super) fn tell(&self, team: TeamId, user: UserId, frame: &Bytes) {
        let Some(sessions) = self.of(team) else { return };
        let sessions = sessions.lock();
        sessions.by_person.values().flatten().filter(|seat| seat.user == user).for_each(|seat| seat.tell(frame));
    }

    /// Takes the next entry of a partition, in order.
    pub(super) fn on_entry(&self, partition: Partition, entry: &Entry<Event>, team: Option<&Team>) {
        let before = {
            let mut reached = self.reached.lock();
            match reached.get_mut(&partition) {
                Some(reached) => std::mem::replace(reached, entry.after),
                None => Position::START,
            }
        };
        // A team with sessions is live, for each session holds it.
        if let (Some(event), Some(team)) = (entry.event(), team) {
            self.push(event, team, (before, entry.after));
        }
    }

    fn of(&self, team: TeamId) -> Option<Arc<Mutex<TeamSessions>>> {
        self.teams.lock().get(&team).cloned()
    }

    fn push(&self, event: &Event, team: &Team, (before, after): (Position, Position)) {
        let Some(sessions) = self.of(team.id()) else { return };
        let mut sessions = sessions.lock();
        if let Event::TokenRevoked(revoked) = event {
            sessions.revoke(&revoked.hash);
        }
        if sessions.concerns_somebody(event, team) {
            sessions.push(event, team, &Frame::all(event, team, before, after));
        }
    }
}

impl Seat {
    fn tell(&self, frame: &Bytes) {
        let _ = self.notes.try_send(Note::Frame(frame.clone()));
    }

    fn push(&mut self, frame: &Arc<Frame>) {
        if let Some(queue) = &self.queue
            && queue.try_send(frame.clone()).is_err()
        {
            metrics::counter!("teamlog_rtm_overflows_total").increment(1);
            self.queue = None;
        }
    }
}

impl TeamSessions {
    /// Returns false if no frame of the event can be for a session here: then none is rendered.
    fn concerns_somebody(&self, event: &Event, team: &Team) -> bool {
        let is_public =
            |conversation| team.conversation(conversation).is_some_and(|c| c.kind == ConversationKind::PublicChannel);
        let has_member = |conversation| {
            let members = team.conversation(conversation).map(|c| self.members(event, team, c));
            members.is_some_and(|members| !members.is_disjoint(&self.online))
        };
        !self.online.is_empty() && may_reach(event, is_public, has_member)
    }

    /// Returns the online members of a conversation at an event, including a member who leaves with it.
    fn members(&self, event: &Event, team: &Team, conversation: &Conversation) -> RoaringBitmap {
        let mut members = &conversation.members & &self.online;
        for change in event.memberships() {
            if !change.joined && change.conversation == conversation.conversation {
                members.extend(team.person_index(change.user));
            }
        }
        members
    }

    fn push(&mut self, event: &Event, team: &Team, frames: &Addressed) {
        for (audience, frame) in frames {
            let mut to = match audience {
                Audience::Members(conversation) => {
                    let Some(conversation) = team.conversation(*conversation) else { continue };
                    self.members(event, team, conversation)
                }
                Audience::Users(users) => users.iter().filter_map(|user| team.person_index(*user)).collect(),
                Audience::Everyone => self.online.clone(),
            };
            to &= &self.online;
            for person in to {
                self.by_person.get_mut(&person).into_iter().flatten().for_each(|seat| seat.push(frame));
            }
        }
    }

    /// Ends the sessions of a revoked token. No event after the revocation reaches them.
    fn revoke(&mut self, hash: &str) {
        for seat in self.by_person.values_mut().flatten().filter(|seat| hex(&seat.token) == hash) {
            seat.queue = None;
            seat.over.cancel();
        }
    }
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
