//! Limits on open sessions and on joining clients, so that a reconnecting office cannot starve other teams.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use rand::Rng;
use teamlog_schemas::TeamId;

use super::{config::RtmConfig, ticket::Ticket};
use crate::ApiError;

/// The sessions that are open, and the clients that join.
pub(super) struct Admission {
    sessions_max: usize,
    joining_max: usize,
    joining_team_max: usize,
    next_session: AtomicU64,
    open: AtomicUsize,
    joining: Mutex<HashMap<TeamId, usize>>,
}

impl Admission {
    /// Takes the limits.
    pub(super) fn new(config: &RtmConfig) -> Admission {
        Admission {
            sessions_max: config.sessions_max,
            joining_max: config.joining_max,
            joining_team_max: config.joining_team_max,
            next_session: AtomicU64::new(1),
            open: AtomicUsize::new(0),
            joining: Mutex::default(),
        }
    }

    /// Counts an open socket until the guard is dropped.
    pub(super) fn open(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("teamlog_rtm_sessions").increment(1);
        Open { admission: self, session: self.next_session.fetch_add(1, Ordering::Relaxed) }
    }

    /// How many sockets are open.
    pub(super) fn open_len(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns true if no more sockets are open than there may be.
    pub(super) fn has_room(&self) -> bool {
        self.open_len() <= self.sessions_max
    }

    /// Admits a socket with a valid ticket; none if there is no room. The socket itself is already counted as open. A ticket
    /// of `rtm.*` was admitted when it was issued, so it does not compete with clients that use a `reconnect_url`, as all
    /// do at once when a gateway stops.
    pub(super) fn admit_socket(&self, ticket: &Ticket) -> Option<Joining<'_>> {
        let was_admitted = ticket.once.is_some();
        self.join(ticket.team, self.has_room(), was_admitted)
    }

    /// Admits a call of `rtm.*`.
    ///
    /// # Errors
    /// `ratelimited` if too many are joining, or too many sessions are open. The wait is jittered, so that they do not
    /// come back all at once.
    pub(super) fn admit_call(&self, team: TeamId) -> Result<Joining<'_>, ApiError> {
        let later = || ApiError::rate_limited(Duration::from_secs(rand::rng().random_range(1..=10)));
        self.join(team, self.open_len() < self.sessions_max, false).ok_or_else(later)
    }

    fn join(&self, team: TeamId, has_room: bool, was_admitted: bool) -> Option<Joining<'_>> {
        let mut joining = self.joining.lock();
        let (own, all) = (joining.get(&team).copied().unwrap_or(0), joining.values().sum::<usize>());
        let may_join = was_admitted || (own < self.joining_team_max && all < self.joining_max);
        if has_room && may_join {
            *joining.entry(team).or_default() += 1;
            return Some(Joining { admission: self, team });
        }
        metrics::counter!("teamlog_rtm_not_admitted_total").increment(1);
        None
    }
}

/// A guard that counts an open socket until it is dropped.
pub(super) struct Open<'a> {
    admission: &'a Admission,
    /// The session's number. No other one of this process has it.
    pub(super) session: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        metrics::gauge!("teamlog_rtm_sessions").decrement(1);
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A guard that counts a joining client (a call of `rtm.*`, or a session that is not live yet) until it is dropped.
pub(super) struct Joining<'a> {
    admission: &'a Admission,
    team: TeamId,
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        let mut joining = self.admission.joining.lock();
        if let Some(count) = joining.get_mut(&self.team) {
            *count -= 1;
            if *count == 0 {
                joining.remove(&self.team);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{frames::Place, rtm::ticket::Once};

    #[test]
    fn one_team_that_comes_all_at_once_leaves_room_for_others() {
        let config = RtmConfig { joining_team_max: 2, joining_max: 3, ..RtmConfig::default() };
        let admission = Admission::new(&config);
        let (office, other): (TeamId, TeamId) = ("T1".parse().unwrap(), "T2".parse().unwrap());
        let first = admission.admit_call(office).unwrap();
        let _second = admission.admit_call(office).unwrap();
        let refused = admission.admit_call(office).err().unwrap();
        assert_eq!((refused.status(), refused.code()), (429, "ratelimited"));
        assert!((1..=10).contains(&refused.retry_after().unwrap()));
        let third = admission.admit_call(other).unwrap();
        assert!(admission.admit_call(other).is_err(), "the bound of all teams");
        drop(first);
        assert!(admission.admit_call(office).is_ok());
        drop(third);
        // A socket that was admitted before is let in whatever the counts are; one that comes back is not.
        let sessions: Vec<_> = (0..5).map(|_| admission.admit_socket(&ticket(office, Some(1))).unwrap()).collect();
        assert!(admission.admit_socket(&ticket(other, None)).is_none());
        assert!(admission.admit_call(other).is_err());
        drop(sessions);
        assert!(admission.admit_socket(&ticket(other, None)).is_some());
        assert!(admission.admit_call(other).is_ok());
    }

    #[test]
    fn no_ticket_opens_more_sockets_than_there_may_be() {
        let admission = Admission::new(&RtmConfig { sessions_max: 2, ..RtmConfig::default() });
        let team = "T1".parse().unwrap();
        let mut open = Vec::new();
        for room in [true, true, false] {
            open.push(admission.open());
            for nonce in [None, Some(1)] {
                assert_eq!(admission.admit_socket(&ticket(team, nonce)).is_some(), room, "{} {nonce:?}", open.len());
            }
        }
    }

    fn ticket(team: TeamId, nonce: Option<u64>) -> Ticket {
        let once = nonce.map(|nonce| Once { gateway: Uuid::nil(), nonce });
        let place = Place::at(teamlog_log::Position::START);
        let user = "U1".parse().unwrap();
        Ticket { team, user, token: [0; 32], place, issued_ms: 0, once, cursors: false, batches: false }
    }
}
