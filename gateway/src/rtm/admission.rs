//! Bounds on those who are joining, so that a reconnecting office cannot starve the others.

use std::{sync::atomic::Ordering, time::Duration};

use rand::Rng;
use teamlog_schemas::TeamId;

use super::service::Rtm;
use crate::ApiError;

/// One who is joining: a call of `rtm.*`, or a session that has not gone live yet. Counted until it is dropped.
pub(super) struct Joining<'a> {
    rtm: &'a Rtm,
    team: TeamId,
}

impl<'a> Joining<'a> {
    /// A session with a ticket: it was admitted when it called.
    pub(super) fn new(rtm: &'a Rtm, team: TeamId) -> Self {
        *rtm.joining.lock().entry(team).or_default() += 1;
        Joining { rtm, team }
    }

    /// A call.
    ///
    /// # Errors
    /// `ratelimited` if too many are joining, or too many sessions are open. The wait is jittered, so that they do not
    /// come back all at once.
    pub(super) fn admit(rtm: &'a Rtm, team: TeamId) -> Result<Self, ApiError> {
        let config = &rtm.config;
        let mut joining = rtm.joining.lock();
        let (own, all) = (joining.get(&team).copied().unwrap_or(0), joining.values().sum::<usize>());
        let open = rtm.open.load(Ordering::Relaxed);
        if own < config.joining_team_max && all < config.joining_max && open < config.sessions_max {
            *joining.entry(team).or_default() += 1;
            return Ok(Joining { rtm, team });
        }
        metrics::counter!("teamlog_rtm_not_admitted_total").increment(1);
        Err(ApiError::rate_limited(Duration::from_secs(rand::rng().random_range(1..=10))))
    }
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
    use crate::RtmConfig;

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
        // One that was admitted before is let in whatever the counts are.
        let sessions: Vec<_> = (0..5).map(|_| Joining::new(&rtm, office)).collect();
        assert!(Joining::admit(&rtm, other).is_err());
        drop(sessions);
        assert!(Joining::admit(&rtm, other).is_ok());
    }
}
