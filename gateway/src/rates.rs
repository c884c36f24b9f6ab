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

/// The rate tier that Slack publishes for a method. `docs/methods.md` says what a tier means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Slack: 1 call a minute and more.
    One,
    /// Slack: 20 calls a minute and more.
    Two,
    /// Slack: 50 calls a minute and more.
    Three,
    /// Slack: 100 calls a minute and more.
    Four,
    /// Slack: a rule of the method's own.
    Special,
}

impl Tier {
    /// All tiers.
    pub const ALL: &[Tier] = &[Tier::One, Tier::Two, Tier::Three, Tier::Four, Tier::Special];

    /// The part of a user's overall rate that calls of one method of this tier may take, in percent; none if they may take
    /// all of it.
    pub const fn percent(self) -> Option<u32> {
        match self {
            Tier::One => Some(10),
            Tier::Two => Some(20),
            Tier::Three => Some(50),
            Tier::Four | Tier::Special => None,
        }
    }
}

/// Whose bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A user's.
    User(TeamId, UserId),
    /// An address's, of calls without a token.
    Client(Option<IpAddr>),
}

/// A user's calls of a method.
type CallsOf = (TeamId, UserId, &'static str);

pub(crate) struct Rates {
    enabled: bool,
    calls: Buckets<Who>,
    /// The calls of single methods, by tier. A tier that may take all of a user's rate has none.
    tiers: Vec<(Tier, Buckets<CallsOf>)>,
    signins: Buckets<String>,
}

impl Rates {
    pub(crate) fn new(config: &config::Rates) -> Rates {
        let some = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = |per_second: u32| Quota::per_second(some(per_second)).allow_burst(some(config.calls_burst));
        let of_tier = |tier: Tier| {
            let percent = u64::from(tier.percent()?);
            let per_second = (u64::from(config.calls_per_second) * percent).div_ceil(100);
            Some((tier, Buckets::new(quota(u32::try_from(per_second).unwrap_or(u32::MAX)))))
        };
        Rates {
            enabled: config.enabled,
            calls: Buckets::new(quota(config.calls_per_second)),
            tiers: Tier::ALL.iter().copied().filter_map(of_tier).collect(),
            signins: Buckets::new(Quota::per_minute(some(config.signins_per_minute))),
        }
    }

    /// Takes a call from a bucket.
    ///
    /// # Errors
    /// `ratelimited` with the time until the next one may come.
    pub(crate) fn call(&self, who: Who) -> Result<(), ApiError> {
        if self.enabled { self.calls.take(&who) } else { Ok(()) }
    }

    /// Takes a user's call of a method from their bucket and from that of the method's tier.
    ///
    /// # Errors
    /// As [`Rates::call`].
    pub(crate) fn user(&self, team: TeamId, user: UserId, method: &'static str, tier: Tier) -> Result<(), ApiError> {
        if !self.enabled {
            return Ok(());
        }
        self.calls.take(&Who::User(team, user))?;
        match self.tiers.iter().find(|(of, _)| *of == tier) {
            Some((_, buckets)) => buckets.take(&(team, user, method)),
            None => Ok(()),
        }
    }

    /// Counts a guess at a password or a new team. `whose` is an address or an account. This limit is never switched
    /// off, because it guards secrets.
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
    fn a_tier_is_a_part_of_the_rate_and_has_the_whole_burst() {
        let rates = Rates::new(&config::Rates::default());
        let quotas: Vec<_> = rates.tiers.iter().map(|(tier, buckets)| (*tier, buckets.quota)).collect();
        let [(Tier::One, one), (Tier::Two, two), (Tier::Three, three)] = quotas[..] else { panic!("{quotas:?}") };
        let every = |quota: Quota| (quota.replenish_interval().as_millis(), quota.burst_size().get());
        assert_eq!((every(one), every(two), every(three)), ((100, 500), (50, 500), (20, 500)));
    }

    #[test]
    fn a_method_of_a_lower_tier_is_held_to_it() {
        let rates = Rates::new(&config::Rates { calls_per_second: 1000, calls_burst: 20, ..config::Rates::default() });
        let (team, user) = ("T1".parse().unwrap(), "U1".parse().unwrap());
        let (connect, post) =
            ["rtm.connect", "chat.postMessage"].map(|name| crate::methods::find(name).unwrap()).into();
        let began = std::time::Instant::now();
        let mut passed = 0_u128;
        while began.elapsed() < std::time::Duration::from_millis(100) {
            passed += u128::from(rates.user(team, user, connect.name, connect.tier).is_ok());
        }
        // 20 at once, then one in 10 ms.
        assert!(passed <= 21 + began.elapsed().as_millis() / 10, "{passed}");
        // Whatever the slow one has used up, another method is not refused for long.
        while let Err(why) = rates.user(team, user, post.name, post.tier) {
            assert_eq!(why.retry_after(), Some(1));
        }
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
