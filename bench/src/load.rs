//! The schedules of calls, and the times measured of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{BenchError, figures::Figures};

/// An actor that repeats one operation, one at a time.
pub(crate) trait Worker: Send + 'static {
    /// Performs the operation once. The time of this future is the measured time.
    fn once(&mut self) -> impl Future<Output = Result<(), BenchError>> + Send;
}

/// A measured time, and the time before it that does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

/// Runs at full speed: each worker starts again as soon as it has ended. Operations that end within the window count.
pub(crate) async fn closed<W: Worker>(workers: Vec<W>, window: Window) -> Result<Figures, BenchError> {
    let from = Instant::now() + window.warm_up;
    let until = from + window.time;
    let mut running = JoinSet::new();
    for mut worker in workers {
        running.spawn(async move {
            let (mut times, mut done) = (Vec::new(), 0);
            let mut begun = Instant::now();
            while begun < until {
                worker.once().await?;
                let ended = Instant::now();
                done += 1;
                if ended >= from && ended < until {
                    times.push(ended - begun);
                }
                begun = ended;
            }
            Ok((done, times))
        });
    }
    collect(running, window.time).await
}

/// Runs at an even rate: the next free worker takes the next operation. The measured time begins when the operation was
/// due. If its worker was free before that, it begins when the timer woke the worker. So a slow answer counts against all
/// operations that it delays, and the timer's resolution of a millisecond does not count. If the due operations end after
/// the window, `time` is extended to their end.
pub(crate) async fn paced<W: Worker>(workers: Vec<W>, per_second: f64, window: Window) -> Result<Figures, BenchError> {
    let start = Instant::now();
    let from = start + window.warm_up;
    let until = from + window.time;
    let next = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for mut worker in workers {
        let next = next.clone();
        running.spawn(async move {
            let (mut times, mut done) = (Vec::new(), 0);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = start + Duration::from_secs_f64(number as f64 / per_second);
                if due >= until {
                    return Ok((done, times));
                }
                let mut begun = due;
                if Instant::now() < due {
                    sleep_until(due).await;
                    begun = Instant::now();
                }
                worker.once().await?;
                done += 1;
                if due >= from {
                    times.push(begun.elapsed());
                }
            }
        });
    }
    let mut figures = collect(running, window.time).await?;
    figures.time = from.elapsed().max(window.time);
    Ok(figures)
}

/// Starts all workers at once, each for one operation. The time of the figures ends with the last one.
pub(crate) async fn at_once<W: Worker>(workers: Vec<W>) -> Result<(Figures, Vec<W>), BenchError> {
    let ready = Arc::new(Barrier::new(workers.len() + 1));
    let mut running = JoinSet::new();
    for mut worker in workers {
        let ready = ready.clone();
        running.spawn(async move {
            ready.wait().await;
            let begun = Instant::now();
            worker.once().await?;
            Ok::<_, BenchError>((begun.elapsed(), worker))
        });
    }
    ready.wait().await;
    let begun = Instant::now();
    let (mut times, mut workers) = (Vec::new(), Vec::new());
    while let Some(ended) = running.join_next().await {
        let (time, worker) = ended.map_err(|_| BenchError::Lost("a caller"))??;
        times.push(time);
        workers.push(worker);
    }
    Ok((Figures::of(times.len() as u64, begun.elapsed(), times), workers))
}

type Ended = Result<(u64, Vec<Duration>), BenchError>;

/// Adds up the figures of all workers. The first error aborts the others.
async fn collect(mut running: JoinSet<Ended>, time: Duration) -> Result<Figures, BenchError> {
    let (mut all, mut done_in_all) = (Vec::new(), 0);
    while let Some(ended) = running.join_next().await {
        let (done, times) = ended.map_err(|_| BenchError::Lost("a caller"))??;
        done_in_all += done;
        all.extend(times);
    }
    Ok(Figures::of(done_in_all, time, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker whose operation takes a fixed time, and fails at the operation with this number.
    struct Slow {
        takes: Duration,
        fails_at: u32,
        done: u32,
    }

    impl Worker for Slow {
        async fn once(&mut self) -> Result<(), BenchError> {
            tokio::time::sleep(self.takes).await;
            self.done += 1;
            if self.done == self.fails_at { Err(BenchError::Lost("a test")) } else { Ok(()) }
        }
    }

    fn slow(takes_ms: u64, count: usize) -> Vec<Slow> {
        let takes = Duration::from_millis(takes_ms);
        (0..count).map(|_| Slow { takes, fails_at: 0, done: 0 }).collect()
    }

    const WINDOW: Window = Window { warm_up: Duration::from_secs(1), time: Duration::from_secs(10) };

    #[tokio::test(start_paused = true)]
    async fn as_fast_as_possible_counts_what_ends_in_the_window() {
        let figures = closed(slow(100, 4), WINDOW).await.unwrap();
        assert_eq!((figures.done, figures.done_in_all), (400, 440));
        assert!((figures.quantile_ms(0.5) - 100.0).abs() < 2.0);
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_rate_a_slow_worker_is_charged_for_what_it_holds_up() {
        let figures = paced(slow(10, 8), 20.0, WINDOW).await.unwrap();
        assert_eq!((figures.done, figures.done_in_all), (200, 220));
        assert!(figures.quantile_ms(0.99) < 13.0, "{}", figures.quantile_ms(0.99));
        // One worker that takes twice the pause falls behind by half of the time.
        let figures = paced(slow(100, 1), 20.0, WINDOW).await.unwrap();
        assert!(figures.quantile_ms(1.0) > 9_000.0, "{}", figures.quantile_ms(1.0));
        assert!((figures.rate() - 10.0).abs() < 1.0, "{}", figures.rate());
    }

    #[tokio::test(start_paused = true)]
    async fn all_at_once_is_over_with_the_last() {
        let mut workers = slow(10, 3);
        workers.extend(slow(500, 1));
        let (figures, back) = at_once(workers).await.unwrap();
        assert_eq!((figures.done, back.len()), (4, 4));
        assert!((500..510).contains(&figures.time.as_millis()), "{:?}", figures.time);
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_ends_all() {
        let mut workers = slow(10, 3);
        workers[1].fails_at = 5;
        assert!(matches!(closed(workers, WINDOW).await, Err(BenchError::Lost("a test"))));
    }
}
