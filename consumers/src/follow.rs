//! The run of one consumer in one partition: it reads events, opens and settles jobs, and records its position.
//!
//! ```text
//!   feed --front--> which work? --> pool (turns, runs, tries again) --> done ---------> the mark moves --> progress, each second
//!            |                        ^                            \--> a dead letter, once it is in the log: the mark moves
//!            |  a team's lane is full |
//!            +--> parked --back-------+    read again from there, once there is room
//! ```
//!
//! The front never waits for one team. A team whose lane is full is parked: its later events are passed over, and read again by
//! the back, which parked teams share. So a flood of one team costs other teams their turns only; of several floods, each may
//! wait for another.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use teamlog_log::{Body, Entry, Feed, FeedError, LogError, Offset, Partition, Position, Subscriber, TopicPartition};
use teamlog_schemas::{Event, TeamId, Ts};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Consumer, Job, JobId, Letter,
    kind::{Kind, PartitionStatus},
    ledger::{Ledger, LedgerError, Progress},
    pool::{Pool, Settled},
    records::{Recorded, Records},
    watermark::{AHEAD_MAX, Watermark},
};

/// Between two records of how far it has come: after a crash so much is done again.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Before the log is asked again for what it could not give.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// How long work that runs may take to end at a stop, and what it ends with to be written down.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Between two looks for dead letters that were kept for long enough, in writes of the position.
const EXPIRE_EVERY: u32 = 60;

/// Why a partition is not followed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The state with which a consumer follows one partition.
pub(crate) struct Follow<C: Consumer> {
    kind: Arc<Kind<C>>,
    feed: Feed<Event>,
    partition: Partition,
    mark: Watermark,
    pool: Pool<C>,
    front: Subscriber<Event>,
    back: Option<Back>,
    records: Records,
    ticks: u32,
}

/// Reads again what parked teams left out.
struct Back {
    subscriber: Subscriber<Event>,
    /// Read, and not looked at.
    pending: VecDeque<Arc<Entry<Event>>>,
    /// Every event before it was looked at.
    at: Position,
}

enum Step<W> {
    Settled(Settled<W>),
    Recorded(Recorded),
    Front(Result<Vec<Arc<Entry<Event>>>, FeedError>),
    Back(Result<Vec<Arc<Entry<Event>>>, FeedError>),
    Changed,
    Tick,
}

impl<C: Consumer> Follow<C> {
    /// Finds where the consumer stands in a partition. Where it stands nowhere yet it begins at the log's end, and that is in
    /// the log before it looks at any event: from then on no event is left out, whenever it is started anew.
    pub(crate) async fn begin(
        kind: Arc<Kind<C>>,
        feed: Feed<Event>,
        ledger: Ledger,
        partition: Partition,
    ) -> Result<Follow<C>, FollowError> {
        let source = TopicPartition::events(partition);
        ledger.caught_up(partition).await?;
        let known = ledger.progress(C::NAME, partition)?;
        let progress = match known.clone() {
            Some(progress) => progress,
            None => {
                let end = feed.end(source).await?;
                feed.wait_for(source, end).await?;
                let at = feed.position(source);
                info!(kind = C::NAME, %partition, offset = %at.offset, "a consumer begins at the end of the log");
                ledger.begin(C::NAME, partition, at, kind.clock.now()).await?
            }
        };
        feed.check(source, &progress.mark).await?;
        Ok(Follow {
            mark: Watermark::resume(progress.mark, progress.ahead.iter().copied()),
            pool: Pool::new(kind.clone()),
            front: feed.subscribe(source, progress.mark),
            back: None,
            // What it began with is written once more: another process may have begun it elsewhere a moment later.
            records: Records::new(C::NAME, ledger, partition, known),
            ticks: 0,
            kind,
            feed,
            partition,
        })
    }

    /// Follows until `stop`; then lets what runs end, and writes down how far it came.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> Result<(), FollowError> {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = self.records.changed();
        self.records.revive();
        loop {
            let has_room = self.mark.open_len() < self.kind.budget.open_max;
            let step = async {
                tokio::select! {
                    settled = self.pool.next() => Step::Settled(settled),
                    Some(recorded) = self.records.next() => Step::Recorded(recorded),
                    entries = read_on(&mut self.front), if has_room => Step::Front(entries),
                    entries = next_of(&mut self.back), if has_room => Step::Back(entries),
                    Ok(()) = changed.changed() => Step::Changed,
                    _ = ticks.tick() => Step::Tick,
                }
            };
            let step = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                step = step => step,
            };
            match step {
                Step::Settled(settled) => self.on_settled(settled),
                Step::Recorded(recorded) => self.on_recorded(recorded),
                Step::Front(entries) => self.take(&entries?),
                Step::Back(entries) => {
                    let entries = entries?;
                    self.back.iter_mut().for_each(|back| back.pending.extend(entries.iter().cloned()));
                    self.take_again();
                }
                Step::Changed => {
                    changed.borrow_and_update();
                    self.records.revive();
                }
                Step::Tick => self.on_tick(),
            }
        }
        self.wind_down().await;
        Ok(())
    }

    /// Looks at what the front brought.
    fn take(&mut self, entries: &[Arc<Entry<Event>>]) {
        let mut before = self.mark.read();
        for entry in entries {
            if let Some((event, team, at)) = of_a_team(entry)
                && !self.mark.is_settled(entry.offset)
                && !self.mark.is_parked(team, entry.offset)
            {
                let work = self.work_of(event, entry.offset);
                if self.pool.has_room(team, work.len()) {
                    self.open(before, entry, team, at, work);
                } else {
                    self.mark.park(team, before);
                }
            }
            before = entry.after;
        }
        self.mark.read_to(before);
        self.take_again();
    }

    /// Looks at what the back brought, as far as there is room.
    fn take_again(&mut self) {
        if self.back.is_none()
            && let Some(from) = self.mark.parked_from()
        {
            let subscriber = self.feed.subscribe(TopicPartition::events(self.partition), from);
            self.back = Some(Back { subscriber, pending: VecDeque::new(), at: from });
        }
        while let Some((entry, before)) = self.back.as_ref().and_then(Back::next) {
            // What the front has not seen is the front's.
            let is_beyond = entry.offset >= self.mark.read().offset;
            if !is_beyond
                && let Some((event, team, at)) = of_a_team(&entry)
                && self.mark.is_parked(team, entry.offset)
                && !self.mark.is_settled(entry.offset)
            {
                let work = self.work_of(event, entry.offset);
                if !self.pool.has_room(team, work.len()) {
                    return;
                }
                self.open(before, &entry, team, at, work);
            }
            self.mark.read_again_to(entry.after);
            self.back.iter_mut().for_each(Back::pass);
            if self.mark.parked_from().is_none() {
                self.back = None;
            }
        }
    }

    /// The consumer's answer; none if it panics, in which case the event becomes a dead letter as a whole.
    fn work_of(&self, event: &Event, offset: Offset) -> Vec<Option<C::Work>> {
        let told = catch_unwind(AssertUnwindSafe(|| self.kind.consumer.work(event)));
        told.map_or_else(
            |_| {
                warn!(kind = C::NAME, partition = %self.partition, %offset, "a consumer panics at an event");
                vec![None]
            },
            |work| work.into_iter().map(Some).collect(),
        )
    }

    fn open(&mut self, before: Position, entry: &Entry<Event>, team: TeamId, at: Ts, work: Vec<Option<C::Work>>) {
        let Some(event_id) = entry.event().and_then(|event| event.meta()).map(|meta| meta.event_id) else { return };
        self.mark.open(before, entry.offset, at, work.len());
        for (number, work) in (0..).zip(work) {
            let id = JobId { consumer: C::NAME.to_owned(), event_id, number };
            match work {
                // It was given up in an earlier life, which ended before it wrote how far it had come.
                _ if self.records.is_dead(&id) => self.mark.settle(entry.offset),
                Some(work) => self.pool.push(Job {
                    id,
                    team,
                    partition: self.partition,
                    offset: entry.offset,
                    work,
                    tries: 0,
                    failing_since: None,
                    failures: 0,
                    is_revived: false,
                }),
                None => {
                    let why = "the consumer panics at this event".to_owned();
                    let letter = self.letter(id, team, entry.offset, 0, why);
                    self.records.bury(Some(entry.offset), letter);
                }
            }
        }
    }

    fn letter(&self, id: JobId, team: TeamId, offset: Offset, tries: u32, why: String) -> Letter {
        let failed_at = self.kind.clock.now();
        Letter { id, team, partition: self.partition, offset, tries, why, failed_at, is_retried: false }
    }

    fn on_settled(&mut self, settled: Settled<C::Work>) {
        match settled {
            Settled::Done(job) => {
                metrics::counter!("teamlog_jobs_done_total", "kind" => C::NAME).increment(1);
                if !job.is_revived {
                    self.mark.settle(job.offset);
                } else {
                    self.records.done_again(&job.id);
                }
            }
            Settled::Dead(job, why) => {
                metrics::counter!("teamlog_jobs_dead_total", "kind" => C::NAME).increment(1);
                warn!(job = %job.id, team = %job.team, tries = job.tries, why, "work failed for good");
                let letter = self.letter(job.id.clone(), job.team, job.offset, job.tries, why);
                self.records.bury((!job.is_revived).then_some(job.offset), letter);
            }
        }
        self.take_again();
    }

    fn on_recorded(&mut self, recorded: Recorded) {
        match recorded {
            Recorded::Buried(offset) => self.mark.settle(offset),
            Recorded::Fetched(letter, event) => self.take_up(letter, event.as_deref()),
        }
    }

    /// Takes a dead letter's work up again, as it follows from its event by this version of the program.
    fn take_up(&mut self, letter: Letter, event: Option<&Event>) {
        let is_its = |event: &&Event| event.meta().is_some_and(|meta| meta.event_id == letter.id.event_id);
        let work = match event.filter(is_its) {
            Some(event) => self.work_of(event, letter.offset).into_iter().nth(letter.id.number as usize).flatten(),
            None => None,
        };
        match work {
            Some(work) => self.pool.push(Job {
                id: letter.id,
                team: letter.team,
                partition: letter.partition,
                offset: letter.offset,
                work,
                tries: letter.tries,
                failing_since: None,
                failures: 0,
                is_revived: true,
            }),
            None => {
                let why = "no such work follows from its event any more".to_owned();
                let letter = self.letter(letter.id, letter.team, letter.offset, letter.tries, why);
                self.records.bury(None, letter);
            }
        }
    }

    fn on_tick(&mut self) {
        self.give_way();
        let now = self.kind.clock.now();
        self.records.advance(self.progress(), now);
        if self.ticks.is_multiple_of(EXPIRE_EVERY) {
            self.records.expire(now);
        }
        self.ticks = self.ticks.wrapping_add(1);
        self.kind.board.put(self.partition, self.standing());
        // What is dropped at the bound of dead letters, or did not find room among the revived, is seen to now.
        self.records.revive();
    }

    /// Gives up work that fails where as much was done after it as may be remembered: the mark moves, and little is done again
    /// after a crash.
    fn give_way(&mut self) {
        while self.mark.ahead().len() >= AHEAD_MAX
            && let Some(settled) = self.mark.lowest_open().and_then(|offset| self.pool.give_up(offset))
        {
            self.on_settled(settled);
        }
    }

    fn progress(&self) -> Progress {
        Progress { mark: self.mark.mark(), ahead: self.mark.ahead().collect() }
    }

    fn standing(&self) -> PartitionStatus {
        let end = self.feed.position(TopicPartition::events(self.partition)).offset.0;
        let age = self.mark.oldest().map_or(0, |at| self.kind.clock.now().micros() - at.micros());
        PartitionStatus {
            has_begun: true,
            lag: end.saturating_sub(self.mark.mark().offset.0),
            waiting: self.pool.waiting(),
            in_flight: self.pool.running(),
            held: self.pool.held(),
            parked: self.mark.parked_len(),
            dead: self.records.dead(),
            oldest: Duration::from_micros(u64::try_from(age).unwrap_or(0)),
            failing: None,
        }
    }

    /// Lets what runs end, and writes down how far it came.
    async fn wind_down(mut self) {
        let ended = timeout(LAST_WAIT, async {
            while let Some(settled) = self.pool.next_running().await {
                self.on_settled(settled);
            }
        });
        let _ = ended.await;
        let written = timeout(LAST_WAIT, async {
            while let Some(recorded) = self.records.next().await {
                self.on_recorded(recorded);
            }
            let (progress, now) = (self.progress(), self.kind.clock.now());
            self.records.close(&progress, now).await;
        });
        if written.await.is_err() {
            info!(kind = C::NAME, partition = %self.partition, "how far a consumer came was not written in time: some is done again");
        }
    }
}

impl Back {
    /// Returns the next entry to look at, and the position before it.
    fn next(&self) -> Option<(Arc<Entry<Event>>, Position)> {
        Some((self.pending.front()?.clone(), self.at))
    }

    fn pass(&mut self) {
        if let Some(entry) = self.pending.pop_front() {
            self.at = entry.after;
        }
    }
}

/// Reads the next entries of the back. Pending without end while entries that were read before are not yet looked at.
async fn next_of(back: &mut Option<Back>) -> Result<Vec<Arc<Entry<Event>>>, FeedError> {
    match back {
        Some(back) if back.pending.is_empty() => read_on(&mut back.subscriber).await,
        _ => std::future::pending().await,
    }
}

/// The next entries. While the log is away it asks again every [`READ_AGAIN`]; it gives only errors that do not pass. Cancel safe.
async fn read_on(subscriber: &mut Subscriber<Event>) -> Result<Vec<Arc<Entry<Event>>>, FeedError> {
    loop {
        match subscriber.next().await {
            Err(why) if why.may_pass() => tokio::time::sleep(READ_AGAIN).await,
            read => return read,
        }
    }
}

/// An event about a team, with its team and time. Consumers pass over all else, what only a newer program understands too.
fn of_a_team(entry: &Entry<Event>) -> Option<(&Event, TeamId, Ts)> {
    let Body::Event(event) = &entry.body else { return None };
    let meta = event.meta()?;
    Some((event, meta.team, meta.at))
}
