//! How fast one may call: token buckets, bounded in number.

use std::{
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use teamlog_schemas::{TeamId, UserId};

use crate::{ApiError, config, limits};

/// Whose bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A user's.
    User(TeamId, UserId),
    /// An address's, of calls without a token.
    Client(Option<IpAddr>),
}

pub(crate) struct Rates {
    enabled: bool,
    calls: Buckets<Who>,
    signins: Buckets<String>,
}

impl Rates {
    pub(crate) fn new(config: &config::Rates) -> Rates {
        let some = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let calls = Quota::per_second(some(config.calls_per_second)).allow_burst(some(config.calls_burst));
        let signins = Quota::per_minute(some(config.signins_per_minute));
        Rates { enabled: config.enabled, calls: Buckets::new(calls), signins: Buckets::new(signins) }
    }

    /// One call.
    ///
    /// # Errors
    /// `ratelimited` with the time until the next one may come.
    pub(crate) fn call(&self, who: Who) -> Result<(), ApiError> {
        if self.enabled { self.calls.take(&who) } else { Ok(()) }
    }

    /// One guess at a password, or one new team. `whose` is an address or an account; never switched off, for it
    /// guards secrets.
    ///
    /// # Errors
    /// `ratelimited`.
    pub(crate) fn signin(&self, whose: String) -> Result<(), ApiError> {
        self.signins.take(&whose)
    }
}

struct Buckets<K: Hash + Eq + Clone> {
    quota: Quota,
    /// Made at its first use: its clock is calibrated against the machine's, which takes real time to pass.
    limiter: OnceLock<(DefaultKeyedRateLimiter<K>, DefaultClock)>,
    taken: AtomicUsize,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(quota: Quota) -> Self {
        Buckets { quota, limiter: OnceLock::new(), taken: AtomicUsize::new(0) }
    }

    fn take(&self, key: &K) -> Result<(), ApiError> {
        let (limiter, clock) = self.limiter.get_or_init(|| (RateLimiter::keyed(self.quota), DefaultClock::default()));
        // A full bucket says nothing that an absent one does not: forgetting the full ones bounds the rest.
        if self.taken.fetch_add(1, Ordering::Relaxed) % 1024 == 1023 && limiter.len() > limits::RATE_KEYS_MAX {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|not_until| {
            metrics::counter!("teamlog_rate_limited_total").increment(1);
            ApiError::rate_limited(not_until.wait_time_from(clock.now()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_waits_alone() {
        let config = config::Rates { calls_per_second: 1, calls_burst: 3, ..config::Rates::default() };
        let rates = Rates::new(&config);
        let user = |text: &str| Who::User("T1".parse().unwrap(), text.parse().unwrap());
        for _ in 0..3 {
            assert_eq!(rates.call(user("U1")), Ok(()));
        }
        let refused = rates.call(user("U1")).unwrap_err();
        assert_eq!((refused.status(), refused.code(), refused.retry_after()), (429, "ratelimited", Some(1)));
        assert_eq!(rates.call(user("U2")), Ok(()));
    }

    #[test]
    fn switched_off_nobody_waits_but_who_guesses_passwords() {
        let config =
            config::Rates { enabled: false, calls_burst: 1, signins_per_minute: 1, ..config::Rates::default() };
        let rates = Rates::new(&config);
        for _ in 0..3 {
            assert_eq!(rates.call(Who::Client(None)), Ok(()));
        }
        assert_eq!(rates.signin("conf/ada".to_owned()), Ok(()));
        assert!(rates.signin("conf/ada".to_owned()).is_err());
    }
}
