//! Sending a query to several replicas: one after the other, and to two at a time if the first is late (a hedge).

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

/// An answer, and whether it is recent enough.
pub(super) enum Found<A> {
    /// An answer from a position that the tail bridges to the end.
    Good(A),
    /// An answer from a position that the tail does not bridge. Used if there is no good one.
    Behind(A),
}

/// The outcome of a race.
pub(super) struct Ended<A, E> {
    /// The answer, and the index of the replica that gave it.
    pub(super) answer: Option<(usize, A)>,
    /// The error of the replica that failed last.
    pub(super) failed: Option<E>,
}

/// Asks the first replica of `order`, and the next one whenever one fails or is behind. If the asked one does not answer
/// within its `patience`, and `may_hedge(late, next, waited)` returns true, the next one is asked as well. If it returns
/// false, it is called again after another `patience`. At most two are asked at a time. Returns the first good answer, or,
/// if there is none, the answer that is `further` on.
pub(super) async fn race<A, E, F: Future<Output = Result<Found<A>, E>>>(
    order: &[usize],
    ask: impl Fn(usize) -> F,
    patience: impl Fn(usize) -> Duration,
    mut may_hedge: impl FnMut(usize, usize, Duration) -> bool,
    further: impl Fn(&A, &A) -> bool,
) -> Ended<A, E> {
    let mut ended = Ended { answer: None, failed: None };
    let mut left = order.iter().copied();
    let Some(mut first) = left.next() else { return ended };
    let ask = |at: usize| {
        let asked = ask(at);
        async move { (at, asked.await) }
    };
    let mut asked = FuturesUnordered::from_iter([ask(first)]);
    let (mut since, mut hedged) = (Instant::now(), false);
    let mut hedge_at = since + patience(first);
    loop {
        let next = left.clone().next();
        tokio::select! {
            biased;
            Some((at, outcome)) = asked.next() => {
                match outcome {
                    Ok(Found::Good(answer)) => {
                        ended.answer = Some((at, answer));
                        return ended;
                    }
                    Ok(Found::Behind(answer)) => {
                        if ended.answer.as_ref().is_none_or(|(_, other)| further(&answer, other)) {
                            ended.answer = Some((at, answer));
                        }
                    }
                    Err(why) => ended.failed = Some(why),
                }
                if !asked.is_empty() {
                    continue;
                }
                let Some(next) = left.next() else { return ended };
                asked.push(ask(next));
                (first, since, hedged) = (next, Instant::now(), false);
                hedge_at = since + patience(first);
            }
            () = tokio::time::sleep_until(hedge_at), if !hedged && next.is_some() => {
                if let Some(next) = next.filter(|next| may_hedge(first, *next, since.elapsed())) {
                    left.next();
                    asked.push(ask(next));
                    hedged = true;
                } else {
                    hedge_at = Instant::now() + patience(first);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The behavior of a replica: its delay in milliseconds and, if it is behind, its position.
    #[derive(Clone, Copy)]
    enum Replica {
        Good(u64),
        Behind(u64, u64),
        Fails(u64),
    }
    use Replica::{Behind, Fails, Good};

    /// Runs a race with a patience of 50 ms and this many hedges. Checks which replica answers, when, and which were asked.
    async fn check(replicas: &[Replica], hedges: u32, answer: Option<usize>, took: u64, asked: &[usize]) {
        let (begun, left, seen) = (Instant::now(), Cell::new(hedges), RefCell::new(Vec::new()));
        let order: Vec<usize> = (0..replicas.len()).collect();
        let ended = race(
            &order,
            |at| {
                seen.borrow_mut().push(at);
                let replica = replicas[at];
                async move {
                    match replica {
                        Good(after) => {
                            tokio::time::sleep(ms(after)).await;
                            Ok(Found::Good(u64::MAX))
                        }
                        Behind(after, offset) => {
                            tokio::time::sleep(ms(after)).await;
                            Ok(Found::Behind(offset))
                        }
                        Fails(after) => {
                            tokio::time::sleep(ms(after)).await;
                            Err(at)
                        }
                    }
                }
            },
            |_| ms(50),
            |_, _, _| left.get().checked_sub(1).inspect(|rest| left.set(*rest)).is_some(),
            |one, other| one > other,
        )
        .await;
        assert_eq!(ended.answer.map(|(at, _)| at), answer);
        assert_eq!(*seen.borrow(), asked);
        assert_eq!(begun.elapsed().as_millis(), u128::from(took));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_one_answers_alone() {
        check(&[Good(49), Good(1)], 9, Some(0), 49, &[0]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_costs_its_failure() {
        check(&[Fails(3), Fails(4), Good(5)], 9, Some(2), 12, &[0, 1, 2]).await;
        check(&[Fails(3), Fails(4)], 9, None, 7, &[0, 1]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_costs_the_hedge_and_not_its_timeout() {
        check(&[Fails(2000), Good(5)], 9, Some(1), 55, &[0, 1]).await;
        check(&[Good(60), Good(30)], 9, Some(0), 60, &[0, 1]).await;
        // Without another there is nobody to ask.
        check(&[Good(500)], 9, Some(0), 500, &[0]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_hedge_left_a_reader_waits() {
        check(&[Good(300), Good(5)], 0, Some(0), 300, &[0]).await;
        check(&[Fails(2000), Good(5)], 0, Some(1), 2005, &[0, 1]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_hedged_once_and_goes_on_when_both_fail() {
        check(&[Fails(2000), Fails(2000), Good(5)], 9, Some(2), 2055, &[0, 1, 2]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_furthest_on_will_do_where_all_are_behind() {
        check(&[Behind(1, 10), Behind(1, 30), Behind(1, 20)], 9, Some(1), 3, &[0, 1, 2]).await;
        check(&[Behind(1, 10), Good(1)], 9, Some(1), 2, &[0, 1]).await;
        check(&[Behind(1, 10), Fails(1)], 9, Some(0), 2, &[0, 1]).await;
    }
}
