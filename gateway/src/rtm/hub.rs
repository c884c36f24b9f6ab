//! Live sessions: event, its conversation, its members' queues.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use teamlog_ingest::Observer;
use teamlog_log::{Entry, Partition, Position};
use teamlog_schemas::{ConversationId, Event, TeamId, UserId};
use teamlog_state::{PersonIndex, Team};
use tokio::sync::mpsc;

use super::frames::{Audience, frames};

/// What a live session gets.
#[derive(Clone, Debug)]
pub(super) enum Push {
    /// An event's only frame for it.
    Frame(Position, Bytes),
    /// Several frames of one event.
    Frames(Position, Vec<Bytes>),
    /// Something that is in no log: typing, presence.
    Passing(Bytes),
    /// The session's own user said that they are away, or are not any more.
    ManualPresence(bool),
    /// Its token is dead.
    Revoked,
}

/// A live session as the hub sees it.
struct Live {
    session: u64,
    user: UserId,
    token: [u8; 32],
    queue: mpsc::Sender<Push>,
}

#[derive(Default)]
struct TeamSessions {
    online: RoaringBitmap,
    by_person: HashMap<PersonIndex, Vec<Live>>,
}

/// All live sessions of this gateway.
#[derive(Default)]
pub(super) struct Hub {
    teams: Mutex<HashMap<TeamId, Arc<Mutex<TeamSessions>>>>,
}

impl Hub {
    /// Makes a session live. To be called in [`Teams::join`](teamlog_ingest::Teams::join), at its own position. Its
    /// queue ends when it overflows: then the session catches up by itself.
    pub(super) fn register(
        &self,
        team: TeamId,
        (user, person): (UserId, PersonIndex),
        session: u64,
        token: [u8; 32],
        queue_max: usize,
    ) -> mpsc::Receiver<Push> {
        let (queue, pushes) = mpsc::channel(queue_max);
        let sessions = self.teams.lock().entry(team).or_default().clone();
        let mut sessions = sessions.lock();
        sessions.online.insert(person);
        sessions.by_person.entry(person).or_default().push(Live { session, user, token, queue });
        pushes
    }

    /// Takes a session out.
    pub(super) fn leave(&self, team: TeamId, person: PersonIndex, session: u64) {
        let Some(sessions) = self.teams.lock().get(&team).cloned() else { return };
        sessions.lock().remove(person, session);
    }

    /// Sends something that is in no log to the members of a conversation who are live, but for one.
    pub(super) fn pass_to_members(&self, team: &Team, conversation: ConversationId, but: PersonIndex, frame: &Bytes) {
        let Some(conversation) = team.conversation(conversation) else { return };
        let Some(sessions) = self.teams.lock().get(&team.id()).cloned() else { return };
        let sessions = sessions.lock();
        for person in (&conversation.members & &sessions.online).iter().filter(|person| *person != but) {
            sessions.pass(person, frame);
        }
    }

    /// Sends something that is in no log to one person's sessions.
    pub(super) fn pass_to(&self, team: TeamId, person: PersonIndex, frame: &Bytes) {
        let Some(sessions) = self.teams.lock().get(&team).cloned() else { return };
        sessions.lock().pass(person, frame);
    }

    /// Tells somebody's own sessions what they said of themselves, and who subscribed to them. People's indexes are
    /// theirs in the team, so the sessions know the user by their queues alone.
    pub(super) fn tell_manual(&self, team: TeamId, user: UserId, away: bool) {
        let Some(sessions) = self.teams.lock().get(&team).cloned() else { return };
        let sessions = sessions.lock();
        for live in sessions.by_person.values().flatten().filter(|live| live.user == user) {
            let _ = live.queue.try_send(Push::ManualPresence(away));
        }
    }

    fn push(&self, team: &Team, event: &Event, after: Position) {
        let Some(sessions) = self.teams.lock().get(&team.id()).cloned() else { return };
        let mut sessions = sessions.lock();
        if sessions.online.is_empty() {
            return;
        }
        if let Event::TokenRevoked(revoked) = event {
            sessions.revoke(team, revoked.user, &revoked.hash);
        }
        let left: HashSet<(ConversationId, UserId)> = event
            .memberships()
            .into_iter()
            .filter(|change| !change.joined)
            .map(|change| (change.conversation, change.user))
            .collect();
        let mut addressed: Vec<(RoaringBitmap, Bytes)> = Vec::new();
        for (audience, frame) in frames(event, team) {
            let mut to = match &audience {
                Audience::Members(conversation) => {
                    let members = team.conversation(*conversation).map(|c| &c.members & &sessions.online);
                    let mut members = members.unwrap_or_default();
                    let leaving = left.iter().filter(|(from, _)| from == conversation);
                    members.extend(leaving.filter_map(|(_, user)| team.person_index(*user)));
                    members
                }
                Audience::Users(users) => users.iter().filter_map(|user| team.person_index(*user)).collect(),
                Audience::Everyone => sessions.online.clone(),
            };
            to &= &sessions.online;
            if !to.is_empty() {
                addressed.push((to, frame));
            }
        }
        match addressed.as_slice() {
            [] => {}
            [(to, frame)] => {
                for person in to {
                    sessions.push(person, &Push::Frame(after, frame.clone()));
                }
            }
            several => {
                let all = several.iter().fold(RoaringBitmap::new(), |all, (to, _)| all | to);
                for person in &all {
                    let of = several.iter().filter(|(to, _)| to.contains(person)).map(|(_, frame)| frame.clone());
                    sessions.push(person, &Push::Frames(after, of.collect()));
                }
            }
        }
    }
}

impl TeamSessions {
    fn remove(&mut self, person: PersonIndex, session: u64) {
        if let Some(all) = self.by_person.get_mut(&person) {
            all.retain(|live| live.session != session);
            if all.is_empty() {
                self.by_person.remove(&person);
                self.online.remove(person);
            }
        }
    }

    /// Events are never dropped: a session whose queue is full leaves live mode, and catches up from the log.
    fn push(&mut self, person: PersonIndex, push: &Push) {
        let Some(all) = self.by_person.get_mut(&person) else { return };
        all.retain(|live| {
            let room = live.queue.try_send(push.clone()).is_ok();
            if !room {
                metrics::counter!("teamlog_rtm_overflows_total").increment(1);
            }
            room
        });
        if all.is_empty() {
            self.by_person.remove(&person);
            self.online.remove(person);
        }
    }

    /// What is in no log may be lost.
    fn pass(&self, person: PersonIndex, frame: &Bytes) {
        for live in self.by_person.get(&person).into_iter().flatten() {
            let _ = live.queue.try_send(Push::Passing(frame.clone()));
        }
    }

    fn revoke(&mut self, team: &Team, user: UserId, hex_hash: &str) {
        let Some(person) = team.person_index(user) else { return };
        let Some(all) = self.by_person.get_mut(&person) else { return };
        all.retain(|live| {
            let hash = live.token.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            if hash == hex_hash {
                // A full queue ends here; the session asks for its token before it goes live again.
                let _ = live.queue.try_send(Push::Revoked);
            }
            hash != hex_hash
        });
        if all.is_empty() {
            self.by_person.remove(&person);
            self.online.remove(person);
        }
    }
}

impl Observer for Hub {
    fn on_entry(&self, _: Partition, entry: &Arc<Entry<Event>>, team: Option<&Team>) {
        // A team with sessions is live, for each session holds it.
        if let (Some(event), Some(team)) = (entry.event(), team) {
            self.push(team, event, entry.after);
        }
    }
}
