//! When a piece of work that failed is tried again, and when no more. Pure: the time and the dice are arguments.

use std::time::Duration;

/// How often and how long a piece of work is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first failure. Each later wait is twice as long.
    pub first: Duration,
    /// The longest wait.
    pub last: Duration,
    /// The most tries.
    pub tries_max: u32,
    /// The longest time from the first failure to the beginning of the last try.
    pub age_max: Duration,
}

impl Default for RetryPolicy {
    /// Ten tries within an hour: a receiver that is deployed anew, or a network that is mended, is waited for. Longer waits
    /// would hold the position back, and with it what is done again after a crash.
    fn default() -> Self {
        RetryPolicy {
            first: Duration::from_secs(1),
            last: Duration::from_secs(600),
            tries_max: 10,
            age_max: Duration::from_secs(3_600),
        }
    }
}

/// The step after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Another try, after this wait.
    After(Duration),
    /// No more tries: it becomes a dead letter.
    Never,
}

impl RetryPolicy {
    /// Decides what follows the failure number `tries` (the first is 1), `age` after the first one. `wanted` is a wait that the
    /// receiver asked for: it is never cut short. `dice` in `[0, 1)` spreads the waits over their upper half, so that what
    /// failed together does not come back together.
    pub fn next(&self, tries: u32, age: Duration, wanted: Option<Duration>, dice: f64) -> AfterFailure {
        if tries >= self.tries_max {
            return AfterFailure::Never;
        }
        let doublings = tries.saturating_sub(1).min(31);
        let wait = self.first.saturating_mul(1 << doublings).min(self.last);
        let wait = wait.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0).max(wanted.unwrap_or_default());
        if age.saturating_add(wait) > self.age_max { AfterFailure::Never } else { AfterFailure::After(wait) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_last_one() {
        let policy = RetryPolicy { last: Duration::from_secs(5), ..RetryPolicy::default() };
        let waits: Vec<_> = (1..=5).map(|tries| policy.next(tries, Duration::ZERO, None, 1.0)).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5].map(|seconds| AfterFailure::After(Duration::from_secs(seconds))));
        assert_eq!(
            policy.next(1, Duration::ZERO, None, 0.0),
            AfterFailure::After(Duration::from_millis(500)),
            "half at least"
        );
    }

    #[test]
    fn tries_and_age_have_an_end() {
        let policy = RetryPolicy::default();
        assert_ne!(policy.next(9, Duration::ZERO, None, 0.5), AfterFailure::Never);
        assert_eq!(policy.next(10, Duration::ZERO, None, 0.5), AfterFailure::Never);
        assert_eq!(policy.next(1, policy.age_max, None, 0.0), AfterFailure::Never);
    }

    #[test]
    fn a_wait_that_was_asked_for_is_kept_and_never_cut_short() {
        let policy = RetryPolicy::default();
        let minute = Duration::from_secs(60);
        assert_eq!(policy.next(1, Duration::ZERO, Some(minute), 0.5), AfterFailure::After(minute));
        assert_eq!(policy.next(1, Duration::ZERO, Some(policy.age_max * 2), 0.5), AfterFailure::Never);
    }

    proptest! {
        /// However it goes: at most so many tries, none later than the age allows, no wait beyond the last one.
        #[test]
        fn every_piece_of_work_ends(dice in prop::collection::vec(0.0..1.0_f64, 1..40), took in 0u64..900, tries_max in 1u32..20) {
            let policy = RetryPolicy { tries_max, ..RetryPolicy::default() };
            let (mut age, mut tries) = (Duration::ZERO, 1);
            for dice in dice.iter().cycle() {
                match policy.next(tries, age, None, *dice) {
                    AfterFailure::Never => break,
                    AfterFailure::After(wait) => {
                        prop_assert!(wait <= policy.last && wait >= policy.first / 2);
                        age += wait;
                        prop_assert!(age <= policy.age_max);
                        age += Duration::from_secs(took);
                        tries += 1;
                    }
                }
            }
            prop_assert!(tries <= tries_max);
        }
    }
}
