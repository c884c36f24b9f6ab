//! How often something may begin.

use std::time::Duration;

use tokio::time::Instant;

/// A bound of how often something may begin: so many at once, and then so many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Beginnings a second, over time; at least 1.
    pub per_second: u32,
    /// Beginnings at one moment after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// A rate whose burst is what it allows in one second.
    pub const fn per_second(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second }
    }

    /// The rate of a team, which has long pauses: its burst is what it allows in two seconds.
    pub const fn of_a_team(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second.saturating_mul(2) }
    }

    /// The time between two beginnings at an even pace.
    fn pause(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// How far a rate is used up. Pure; the generic cell rate algorithm (ITU-T I.371), whose "theoretical arrival time" it holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// When all that has begun would have begun at an even pace.
    even: Option<Instant>,
}

impl Pace {
    /// Counts one more and returns when it may begin: the earliest time that the rate allows, not before `now`.
    pub(crate) fn take(&mut self, now: Instant, rate: Rate) -> Instant {
        let at = self.next(now, rate);
        self.even = Some(self.even.map_or(now, |even| even.max(now)) + rate.pause());
        at
    }

    /// Returns the earliest time at which one more may begin, not before `now`.
    pub(crate) fn next(&self, now: Instant, rate: Rate) -> Instant {
        let burst = rate.pause() * rate.burst.saturating_sub(1);
        self.even.and_then(|even| even.checked_sub(burst)).map_or(now, |from| from.max(now))
    }

    /// Returns when nothing of the rate is used up any more, if that is later than `now`.
    pub(crate) fn used_until(&self, now: Instant) -> Option<Instant> {
        self.even.filter(|even| *even > now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_begins_at_once_and_the_rest_at_the_rate() {
        let (rate, now, mut pace) = (Rate { per_second: 10, burst: 3 }, Instant::now(), Pace::default());
        let waits: Vec<_> = (0..6).map(|_| (pace.take(now, rate) - now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200, 300]);
        assert_eq!(pace.used_until(now), Some(now + Duration::from_millis(600)));
        let later = now + Duration::from_secs(1);
        assert_eq!((pace.next(later, rate), pace.used_until(later)), (later, None));
    }

    proptest! {
        /// In any second at most the burst and one second's number begin, and who waits for its turn is never held for longer
        /// than all before it need.
        #[test]
        fn no_second_has_more_than_the_rate(
            pauses in prop::collection::vec(0u64..400, 1..100), per_second in 1u32..50, burst in 1u32..20,
        ) {
            let (rate, begin, mut pace) = (Rate { per_second, burst }, Instant::now(), Pace::default());
            let mut now = begin;
            let mut begun: Vec<Instant> = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                let at = pace.take(now, rate);
                prop_assert!(at >= now && begun.last().is_none_or(|last| *last <= at));
                begun.push(at);
            }
            for (place, from) in begun.iter().enumerate() {
                let within = begun[place..].iter().filter(|at| **at < *from + Duration::from_secs(1)).count();
                prop_assert!(within <= (per_second + burst) as usize, "{within}");
            }
        }
    }
}
