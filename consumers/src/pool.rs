//! The work of one consumer in one partition that was taken up: it waits for its turn, runs, and waits for its next try.
//! Where the work comes from and what becomes of what is settled is its user's business.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::PollSemaphore;

use crate::{
    AfterFailure, Consumer, Job, JobEnd,
    fair::{FairQueue, LaneBounds},
    held::HeldWork,
    kind::Kind,
};

/// A piece of work that needs no more tries.
pub(crate) enum Settled<W> {
    /// The job is done.
    Done(Job<W>),
    /// The job failed for good, for this reason.
    Dead(Job<W>, String),
}

/// A failed job, with the reason of its last failure.
struct Failed<W> {
    job: Job<W>,
    why: String,
}

pub(crate) struct Pool<C: Consumer> {
    kind: Arc<Kind<C>>,
    queue: FairQueue<Job<C::Work>>,
    held: HeldWork<Failed<C::Work>>,
    running: JoinSet<(Job<C::Work>, JobEnd)>,
    /// Keeps its place among the partitions that wait for room in the kind.
    permits: PollSemaphore,
}

impl<C: Consumer> Pool<C> {
    pub(crate) fn new(kind: Arc<Kind<C>>) -> Pool<C> {
        let budget = kind.budget;
        Pool {
            queue: FairQueue::new(LaneBounds {
                waiting_max: budget.team_waiting_max,
                in_flight_max: budget.team_in_flight_max,
                rate: budget.team_rate,
            }),
            held: HeldWork::new(budget.held_max),
            running: JoinSet::new(),
            permits: PollSemaphore::new(kind.in_flight.clone()),
            kind,
        }
    }

    /// Whether so many more pieces of a team's work may wait.
    pub(crate) fn has_room(&self, team: teamlog_schemas::TeamId, count: usize) -> bool {
        self.queue.has_room(team, count)
    }

    /// Takes work up.
    pub(crate) fn push(&mut self, job: Job<C::Work>) {
        self.queue.push(job.team, job, Instant::now());
    }

    /// The next piece of work that is settled; runs what is ready meanwhile. Waits for ever if nothing is left. Cancel safe.
    pub(crate) async fn next(&mut self) -> Settled<C::Work> {
        loop {
            let now = Instant::now();
            while let Some(Failed { job, .. }) = self.held.pop_due(now) {
                self.queue.push(job.team, job, now);
            }
            self.queue.end_pauses(now);
            let due = self.held.next_due().into_iter().chain(self.queue.next_due()).min();
            let is_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let permit = std::future::poll_fn(|cx| self.permits.poll_acquire(cx));
            tokio::select! {
                biased;
                Some(ended) = self.running.join_next() => {
                    // A task of this set is never aborted, and catches its panics.
                    if let Ok((job, end)) = ended
                        && let Some(settled) = self.judge(job, end)
                    {
                        return settled;
                    }
                }
                Some(permit) = permit, if self.queue.is_ready() => {
                    if let Some(job) = self.queue.next(Instant::now()) {
                        let kind = self.kind.clone();
                        self.running.spawn(async move {
                            let _permit = permit;
                            kind.turn().await;
                            let end = run(&kind, &job).await;
                            (job, end)
                        });
                    }
                }
                () = is_due => {}
            }
        }
    }

    /// Ends with the next piece of work that is settled and runs already, beginning none; none once nothing runs.
    pub(crate) async fn next_running(&mut self) -> Option<Settled<C::Work>> {
        // Else room that it was given would stay with it, and others would wait for that.
        self.permits = PollSemaphore::new(self.kind.in_flight.clone());
        while let Some(ended) = self.running.join_next().await {
            if let Ok((job, end)) = ended
                && let Some(settled) = self.judge(job, end)
            {
                return Some(settled);
            }
        }
        None
    }

    fn judge(&mut self, mut job: Job<C::Work>, end: JobEnd) -> Option<Settled<C::Work>> {
        self.queue.done(job.team, Instant::now());
        let (why, wait) = match end {
            JobEnd::Done => return Some(Settled::Done(job)),
            JobEnd::Never(why) => {
                self.kind.failed();
                job.tries += 1;
                return Some(Settled::Dead(job, why));
            }
            JobEnd::Again { why, wait } => (why, wait),
        };
        self.kind.failed();
        job.tries += 1;
        job.failures += 1;
        let now = Instant::now();
        let age = now.duration_since(*job.failing_since.get_or_insert(now));
        match self.kind.budget.retry.next(job.failures, age, wait, self.kind.dice()) {
            AfterFailure::Never => Some(Settled::Dead(job, why)),
            AfterFailure::After(wait) => {
                let (team, place) = (job.team, job.place());
                let gone = self.held.push(team, place, now + wait, Failed { job, why });
                gone.map(|Failed { job, why }| Settled::Dead(job, why))
            }
        }
    }

    /// Gives up an event's work that waits for another try; none if it runs, or waits for its turn.
    pub(crate) fn give_up(&mut self, offset: teamlog_log::Offset) -> Option<Settled<C::Work>> {
        self.held.take_of(offset).map(|Failed { job, why }| Settled::Dead(job, why))
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }
}

async fn run<C: Consumer>(kind: &Kind<C>, job: &Job<C::Work>) -> JobEnd {
    let run_max = kind.budget.run_max;
    let run = AssertUnwindSafe(kind.consumer.run(&kind.world, job)).catch_unwind();
    match timeout(run_max, run).await {
        Ok(Ok(end)) => end,
        Ok(Err(_)) => JobEnd::again("it panicked"),
        Err(_) => JobEnd::again(format_args!("it took longer than {} s", run_max.as_secs())),
    }
}
