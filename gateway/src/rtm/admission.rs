//! Limits on joining clients, so that a reconnecting office cannot starve other teams.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use rand::Rng;
use teamlog_schemas::TeamId;

use super::{service::Rtm, ticket::Ticket};
use crate::ApiError;

/// A guard that counts a joining client (a call of `rtm.*`, or a session that is not live yet) until it is dropped.
pub(super) struct Joining<'a> {
    rtm: &'a Rtm,
    team: TeamId,
}

impl<'a> Joining<'a> {
    /// Admits a socket with a valid ticket; none if there is no room. The socket itself is already counted as open. A ticket
    /// of `rtm.*` was admitted when it was issued, so it does not compete with clients that use a `reconnect_url`, as all
    /// do at once when a gateway stops.
    pub(super) fn of_socket(rtm: &'a Rtm, ticket: &Ticket) -> Option<Self> {
        let mut joining = rtm.joining.lock();
        let was_admitted = ticket.once.is_some();
        let room = rtm.open.load(Ordering::Relaxed) <= rtm.config.sessions_max;
        if room && (was_admitted || has_room(rtm, &joining, ticket.team)) {
            *joining.entry(ticket.team).or_default() += 1;
            return Some(Joining { rtm, team: ticket.team });
        }
        metrics::counter!("teamlog_rtm_not_admitted_total").increment(1);
        None
    }

    /// Admits a call of `rtm.*`.
    ///
    /// # Errors
    /// `ratelimited` if too many are joining, or too many sessions are open. The wait is jittered, so that they do not
    /// come back all at once.
    pub(super) fn admit(rtm: &'a Rtm, team: TeamId) -> Result<Self, ApiError> {
        let mut joining = rtm.joining.lock();
        let open = rtm.open.load(Ordering::Relaxed);
        if open < rtm.config.sessions_max && has_room(rtm, &joining, team) {
            *joining.entry(team).or_default() += 1;
            return Ok(Joining { rtm, team });
        }
        metrics::counter!("teamlog_rtm_not_admitted_total").increment(1);
        Err(ApiError::rate_limited(Duration::from_secs(rand::rng().random_range(1..=10))))
    }
}

fn has_room(rtm: &Rtm, joining: &HashMap<TeamId, usize>, team: TeamId) -> bool {
    let (own, all) = (joining.get(&team).copied().unwrap_or(0), joining.values().sum::<usize>());
    own < rtm.config.joining_team_max && all < rtm.config.joining_max
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        let mut joining = self.rtm.joining.lock();
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
    use super::*;
    use uuid::Uuid;

    use crate::{RtmConfig, frames::Place, rtm::ticket::Once};

    #[test]
    fn one_team_that_comes_all_at_once_leaves_room_for_others() {
        let config = RtmConfig { joining_team_max: 2, joining_max: 3, ..RtmConfig::default() };
        let rtm = Rtm::new(config);
        let (office, other): (TeamId, TeamId) = ("T1".parse().unwrap(), "T2".parse().unwrap());
        let first = Joining::admit(&rtm, office).unwrap();
        let _second = Joining::admit(&rtm, office).unwrap();
        let refused = Joining::admit(&rtm, office).err().unwrap();
        assert_eq!((refused.status(), refused.code()), (429, "ratelimited"));
        assert!((1..=10).contains(&refused.retry_after().unwrap()));
        let third = Joining::admit(&rtm, other).unwrap();
        assert!(Joining::admit(&rtm, other).is_err(), "the bound of all teams");
        drop(first);
        assert!(Joining::admit(&rtm, office).is_ok());
        drop(third);
        // A socket that was admitted before is let in whatever the counts are; one that comes back is not.
        let sessions: Vec<_> = (0..5).map(|_| Joining::of_socket(&rtm, &ticket(office, Some(1))).unwrap()).collect();
        assert!(Joining::of_socket(&rtm, &ticket(other, None)).is_none());
        assert!(Joining::admit(&rtm, other).is_err());
        drop(sessions);
        assert!(Joining::of_socket(&rtm, &ticket(other, None)).is_some());
        assert!(Joining::admit(&rtm, other).is_ok());
    }

    #[test]
    fn no_ticket_opens_more_sockets_than_there_may_be() {
        let rtm = Rtm::new(RtmConfig { sessions_max: 2, ..RtmConfig::default() });
        let team = "T1".parse().unwrap();
        for (open, room) in [(1, true), (2, true), (3, false)] {
            rtm.open.store(open, Ordering::Relaxed);
            for nonce in [None, Some(1)] {
                assert_eq!(Joining::of_socket(&rtm, &ticket(team, nonce)).is_some(), room, "{open} {nonce:?}");
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
