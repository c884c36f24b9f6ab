//! Presence: a person is active while a socket is open, and away once none was open for a while. Only subscribed sessions
//! are told, once a second, and only of the latest state. So an office that reconnects does not flood every session.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use teamlog_schemas::{TeamId, UserId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::hub::Note;
use crate::frames::encode;

/// A person's presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    /// `active` rather than `away`.
    pub(crate) active: bool,
    /// True if the person has set themselves away.
    pub(crate) manual_away: bool,
    /// Sockets open here.
    pub(crate) connections: usize,
}

/// Changes that one session is told a second; the rest waits, and only its latest state.
const CHANGES_A_SECOND: usize = 64;

type Who = (TeamId, UserId);

/// The presence of all people that this gateway knows.
pub(super) struct Presences {
    away_after: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    people: HashMap<Who, Person>,
    /// The people whose last socket closed, in the order in which it closed.
    leaving: VecDeque<(Instant, Who)>,
    /// The people whose presence may have changed since the last tick.
    changed: HashSet<Who>,
    watchers: HashMap<u64, Watcher>,
    /// Sessions that have not been told everything.
    owed: HashSet<u64>,
}

#[derive(Default)]
struct Person {
    sockets: usize,
    /// When the last socket closed.
    gone: Option<Instant>,
    manual_away: bool,
    /// The state that was last sent to subscribers.
    told_active: bool,
    /// Sessions that subscribed.
    watchers: HashSet<u64>,
}

struct Watcher {
    team: TeamId,
    notes: mpsc::Sender<Note>,
    batches: bool,
    ids: HashSet<UserId>,
    pending: BTreeMap<UserId, bool>,
}

impl Presences {
    pub(super) fn new(away_after: Duration) -> Presences {
        Presences { away_after, inner: Mutex::default() }
    }

    /// Counts an opened socket.
    pub(super) fn arrived(&self, team: TeamId, user: UserId) {
        let mut inner = self.inner.lock();
        let person = inner.people.entry((team, user)).or_default();
        person.sockets += 1;
        person.gone = None;
        inner.changed.insert((team, user));
    }

    /// Counts a closed socket and drops its subscription.
    pub(super) fn departed(&self, team: TeamId, user: UserId, session: u64, now: Instant) {
        let mut inner = self.inner.lock();
        inner.unwatch(session);
        if let Some(person) = inner.people.get_mut(&(team, user)) {
            person.sockets = person.sockets.saturating_sub(1);
            if person.sockets == 0 {
                person.gone = Some(now);
                inner.leaving.push_back((now, (team, user)));
            }
        }
    }

    /// Sets a person away, or lets their sockets decide.
    pub(super) fn set_manual(&self, team: TeamId, user: UserId, away: bool) {
        let mut inner = self.inner.lock();
        inner.people.entry((team, user)).or_default().manual_away = away;
        inner.changed.insert((team, user));
    }

    /// Replaces a session's subscription with these people. Returns the ones that it did not have before.
    pub(super) fn watch(
        &self,
        (team, session): (TeamId, u64),
        notes: &mpsc::Sender<Note>,
        batches: bool,
        ids: HashSet<UserId>,
    ) -> Vec<UserId> {
        let mut inner = self.inner.lock();
        let before = inner.unwatch(session);
        for user in &ids {
            inner.people.entry((team, *user)).or_default().watchers.insert(session);
        }
        let new = ids.difference(&before).copied().collect();
        if !ids.is_empty() {
            let watcher = Watcher { team, notes: notes.clone(), batches, ids, pending: BTreeMap::new() };
            inner.watchers.insert(session, watcher);
        }
        new
    }

    /// The state of one person now.
    pub(super) fn of(&self, team: TeamId, user: UserId, now: Instant) -> Presence {
        let inner = self.inner.lock();
        let Some(person) = inner.people.get(&(team, user)) else { return Presence::default() };
        let active = person.is_active(now, self.away_after);
        Presence { active, manual_away: person.manual_away, connections: person.sockets }
    }

    /// Tells those who subscribed what has changed. To be called once a second.
    pub(super) fn tick(&self, now: Instant) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        while inner.leaving.front().is_some_and(|(left, _)| now.duration_since(*left) >= self.away_after) {
            if let Some((_, who)) = inner.leaving.pop_front() {
                inner.changed.insert(who);
            }
        }
        for who in std::mem::take(&mut inner.changed) {
            let Some(person) = inner.people.get_mut(&who) else { continue };
            let active = person.is_active(now, self.away_after);
            if std::mem::replace(&mut person.told_active, active) != active {
                for session in &person.watchers {
                    if let Some(watcher) = inner.watchers.get_mut(session) {
                        watcher.pending.insert(who.1, active);
                        inner.owed.insert(*session);
                    }
                }
            }
            if !active && person.sockets == 0 && person.watchers.is_empty() && !person.manual_away {
                inner.people.remove(&who);
            }
        }
        for session in std::mem::take(&mut inner.owed) {
            let Some(watcher) = inner.watchers.get_mut(&session) else { continue };
            if !watcher.tell() {
                inner.owed.insert(session);
            }
        }
    }
}

impl Inner {
    /// The people whom the session had subscribed to.
    fn unwatch(&mut self, session: u64) -> HashSet<UserId> {
        let Some(watcher) = self.watchers.remove(&session) else { return HashSet::new() };
        for user in &watcher.ids {
            let who = (watcher.team, *user);
            if let Some(person) = self.people.get_mut(&who) {
                person.watchers.remove(&session);
                // Whether it can be forgotten is looked at with the next tick.
                self.changed.insert(who);
            }
        }
        watcher.ids
    }
}

impl Person {
    fn is_active(&self, now: Instant, away_after: Duration) -> bool {
        let here = self.sockets > 0 || self.gone.is_some_and(|gone| now.duration_since(gone) < away_after);
        here && !self.manual_away
    }
}

impl Watcher {
    /// Sends what is pending, up to the bound; true if nothing is left.
    fn tell(&mut self) -> bool {
        let now: Vec<(UserId, bool)> = std::iter::from_fn(|| self.pending.pop_first()).take(CHANGES_A_SECOND).collect();
        for frame in changes(&now, self.batches) {
            if self.notes.try_send(Note::Frame(frame)).is_err() {
                // A session whose notes are full is told later, of the state at that time.
                for (user, active) in now {
                    self.pending.entry(user).or_insert(active);
                }
                break;
            }
        }
        self.pending.is_empty()
    }
}

/// Builds presence frames: one for each person, or with `batches` one for each state.
pub(super) fn changes(people: &[(UserId, bool)], batches: bool) -> Vec<Bytes> {
    if !batches {
        let one = |(user, active): &(UserId, bool)| {
            encode(&json!({ "type": "presence_change", "user": user, "presence": word(*active) }))
        };
        return people.iter().map(one).collect();
    }
    let of = |wanted: bool| {
        let users: Vec<UserId> = people.iter().filter(|(_, active)| *active == wanted).map(|(user, _)| *user).collect();
        (!users.is_empty())
            .then(|| encode(&json!({ "type": "presence_change", "users": users, "presence": word(wanted) })))
    };
    [true, false].into_iter().filter_map(of).collect()
}

pub(super) fn word(active: bool) -> &'static str {
    if active { "active" } else { "away" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWAY_AFTER: Duration = Duration::from_secs(30);

    fn team() -> TeamId {
        "T1".parse().unwrap()
    }
    fn user(number: usize) -> UserId {
        format!("U{number}").parse().unwrap()
    }

    fn take_frames(notes: &mut mpsc::Receiver<Note>) -> Vec<String> {
        let text = |note| match note {
            Note::Frame(frame) => String::from_utf8(frame.to_vec()).unwrap(),
            Note::Home => "home".to_owned(),
        };
        std::iter::from_fn(|| notes.try_recv().ok()).map(text).collect()
    }

    #[test]
    fn somebody_is_away_half_a_minute_after_their_last_socket() {
        let (presences, start) = (Presences::new(AWAY_AFTER), Instant::now());
        let (sender, mut notes) = mpsc::channel(8);
        let ids = HashSet::from([user(1), user(2)]);
        assert_eq!(presences.watch((team(), 9), &sender, false, ids).len(), 2);
        presences.arrived(team(), user(1));
        presences.arrived(team(), user(3));
        assert!(presences.of(team(), user(1), start).active);
        presences.tick(start);
        assert_eq!(take_frames(&mut notes), [r#"{"type":"presence_change","user":"U1","presence":"active"}"#]);
        // A return within `away_after` is not sent.
        presences.departed(team(), user(1), 1, start);
        presences.tick(start + AWAY_AFTER / 2);
        presences.arrived(team(), user(1));
        presences.tick(start + AWAY_AFTER * 2);
        assert!(take_frames(&mut notes).is_empty());
        presences.departed(team(), user(1), 1, start + AWAY_AFTER * 2);
        presences.tick(start + AWAY_AFTER * 3);
        assert_eq!(take_frames(&mut notes), [r#"{"type":"presence_change","user":"U1","presence":"away"}"#]);
        assert_eq!(presences.of(team(), user(1), start + AWAY_AFTER * 3), Presence::default());
    }

    #[test]
    fn one_who_says_that_they_are_away_is_away_and_only_the_latest_counts() {
        let (presences, start) = (Presences::new(AWAY_AFTER), Instant::now());
        let (sender, mut notes) = mpsc::channel(8);
        presences.watch((team(), 9), &sender, true, HashSet::from([user(1)]));
        presences.arrived(team(), user(1));
        presences.tick(start);
        assert_eq!(take_frames(&mut notes).len(), 1);
        presences.set_manual(team(), user(1), true);
        presences.set_manual(team(), user(1), false);
        presences.tick(start);
        assert!(take_frames(&mut notes).is_empty());
        presences.set_manual(team(), user(1), true);
        presences.tick(start);
        assert_eq!(take_frames(&mut notes), [r#"{"type":"presence_change","users":["U1"],"presence":"away"}"#]);
        assert!(presences.of(team(), user(1), start).manual_away);
    }

    #[test]
    fn a_session_is_told_64_changes_a_second() {
        let (presences, start) = (Presences::new(AWAY_AFTER), Instant::now());
        let (sender, mut notes) = mpsc::channel(256);
        presences.watch((team(), 9), &sender, false, (0..100).map(user).collect());
        (0..100).for_each(|number| presences.arrived(team(), user(number)));
        presences.tick(start);
        assert_eq!(take_frames(&mut notes).len(), 64);
        presences.tick(start);
        assert_eq!(take_frames(&mut notes).len(), 36);
        presences.tick(start);
        assert!(take_frames(&mut notes).is_empty());
    }

    #[test]
    fn nothing_is_kept_of_who_is_gone() {
        let (presences, start) = (Presences::new(AWAY_AFTER), Instant::now());
        let (sender, _notes) = mpsc::channel(8);
        presences.watch((team(), 9), &sender, false, (0..10).map(user).collect());
        presences.arrived(team(), user(1));
        presences.departed(team(), user(1), 9, start);
        presences.tick(start + AWAY_AFTER);
        let inner = presences.inner.lock();
        assert!(inner.people.is_empty() && inner.watchers.is_empty() && inner.leaving.is_empty());
    }
}
