//! The order in which replicas are asked. No I/O.

use std::time::Duration;

/// The time that one record of lag costs a reader, which must take the entry out of the ring and see whose it is. At this
/// price, a projector that commits twenty times a second costs next to nothing. A projector that lags by thousands of
/// records costs as much as a network hop.
const LAG_COST: Duration = Duration::from_micros(1);
/// Another replica becomes the preferred one only if its cost is at most `BETTER_TENTHS` tenths of the preferred one's, and
/// lower by at least `BETTER_BY`. The first bound ignores noise, the second ignores gains too small to notice.
const BETTER_TENTHS: u32 = 7;
const BETTER_BY: Duration = Duration::from_millis(1);

/// The state of a replica when a query begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// True if the replica failed and has not answered since.
    pub(super) open: bool,
    /// True if the tail reaches from the replica's last seen position to the end, or if no position was seen yet.
    pub(super) bridged: bool,
    /// The cost of an answer; none if nothing is known.
    pub(super) cost: Option<Duration>,
}

/// Returns the cost of an answer, from the time until it begins and its lag in records. Bridging a lag takes time, as a
/// network does, so both add up to one figure: a near replica with a small lag is read before a distant one.
pub(super) fn cost(nearness: Duration, lag: u64) -> Duration {
    nearness.saturating_add(LAG_COST.saturating_mul(u32::try_from(lag).unwrap_or(u32::MAX)))
}

/// The order in which to ask the replicas.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The indexes of all candidates.
    pub(super) order: Vec<usize>,
    /// The index of the replica to prefer from now on.
    pub(super) preferred: usize,
}

/// Orders the candidates. Replicas that answer come before those that failed; in each group, those whose position the tail
/// bridges come first. Next comes the preferred one, unless another one is clearly better; then the order is by cost, and
/// where no cost is known as configured. No candidate is left out: asking a failed replica is better than asking none.
pub(super) fn choose(candidates: &[Candidate], preferred: usize) -> Choice {
    let class = |at: usize| (candidates[at].open, !candidates[at].bridged);
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|at| (class(*at), candidates[*at].cost.is_none(), candidates[*at].cost));
    let Some(best) = order.first().copied() else { return Choice { order, preferred } };
    if class(best) == class(preferred) {
        let cost = |at: usize| candidates[at].cost;
        let first = if is_clearly_better(cost(best), cost(preferred)) { best } else { preferred };
        order.retain(|at| *at != first);
        order.insert(0, first);
        return Choice { order, preferred: first };
    }
    // A replica that lags in this partition may be up to date in others: it stays the preferred one.
    let preferred = if candidates[preferred].open { best } else { preferred };
    Choice { order, preferred }
}

fn is_clearly_better(one: Option<Duration>, other: Option<Duration>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one * 10 <= other * BETTER_TENTHS && one + BETTER_BY <= other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Candidate = Candidate { open: false, bridged: true, cost: None };

    fn near(micros: u64) -> Candidate {
        Candidate { cost: Some(Duration::from_micros(micros)), ..NEW }
    }

    fn behind(micros: u64) -> Candidate {
        Candidate { bridged: false, ..near(micros) }
    }

    fn open(candidate: Candidate) -> Candidate {
        Candidate { open: true, ..candidate }
    }

    fn check(candidates: &[Candidate], preferred: usize, order: &[usize], then_preferred: usize) {
        let expected = Choice { order: order.to_vec(), preferred: then_preferred };
        assert_eq!(choose(candidates, preferred), expected, "{candidates:?}, preferred {preferred}");
    }

    #[test]
    fn without_figures_the_configured_order_counts() {
        check(&[NEW, NEW, NEW], 0, &[0, 1, 2], 0);
        check(&[NEW, near(10), NEW], 0, &[0, 1, 2], 0);
        check(&[NEW], 0, &[0], 0);
        check(&[], 0, &[], 0);
    }

    #[test]
    fn the_nearer_one_is_asked_and_kept() {
        check(&[near(40_000), near(900)], 0, &[1, 0], 1);
        check(&[near(900), near(40_000)], 0, &[0, 1], 0);
        // Not by a little, in parts or in time.
        check(&[near(10_000), near(8_000)], 0, &[0, 1], 0);
        check(&[near(900), near(200)], 0, &[0, 1], 0);
        check(&[near(2_000), near(1_000)], 0, &[1, 0], 1);
        // Nor back by a little.
        check(&[near(1_900), near(2_000)], 1, &[1, 0], 1);
        check(&[near(5_000), near(3_000), near(1_000)], 0, &[2, 1, 0], 2);
    }

    #[test]
    fn whoever_fails_is_asked_last() {
        check(&[open(near(100)), near(90_000)], 0, &[1, 0], 1);
        check(&[open(near(100)), behind(90_000)], 0, &[1, 0], 1);
        check(&[open(NEW), open(NEW)], 0, &[0, 1], 0);
        check(&[open(NEW), open(NEW)], 1, &[1, 0], 1);
        // Once it answers again it has to be nearer, as anybody has.
        check(&[near(800), near(900)], 1, &[1, 0], 1);
    }

    #[test]
    fn whoever_lags_too_far_is_asked_after_the_others_and_stays_preferred_elsewhere() {
        check(&[behind(100), near(90_000)], 0, &[1, 0], 0);
        check(&[behind(100), NEW], 0, &[1, 0], 0);
        check(&[behind(100), behind(90_000)], 0, &[0, 1], 0);
    }

    #[test]
    fn a_lag_costs_time() {
        let ms = Duration::from_millis;
        assert_eq!(cost(ms(1), 0), ms(1));
        assert_eq!(cost(ms(1), 4000), ms(5));
        assert!(cost(ms(1), 100) < ms(2), "a commit's worth of events is no reason to go elsewhere");
        assert!(cost(ms(1), u64::MAX) > ms(1000));
        let lags = |lag| Candidate { cost: Some(cost(ms(1), lag)), ..NEW };
        check(&[lags(100), lags(0)], 0, &[0, 1], 0);
        check(&[lags(50_000), near(20_000)], 0, &[1, 0], 1);
    }
}
