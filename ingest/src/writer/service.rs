//! The writer's task.

mod claims;
mod deciding;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
#[cfg(feature = "testing")]
use teamlog_log::testing::{Rule, is_left_out};
use teamlog_log::{
    Appended, Body, Entry, Feed, FeedError, Log, LogError, NewRecord, Offset, Position, Subscriber, TopicPartition,
};
use teamlog_schemas::Event;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};
use uuid::Uuid;

use super::{
    Fold, Loaded, Submission, WriterConfig, WriterHandle,
    inflight::Queue,
    lanes::{Held, Lanes, Pending},
};
use crate::{Acked, Answer, NotAccepted};

/// How often deadlines and pauses are looked at.
const TICK: Duration = Duration::from_millis(50);
/// The shortest pause before a claim that follows a lost one; it doubles each time.
const PAUSE: Duration = Duration::from_millis(100);
/// A claim that has not been read back by then is taken for lost.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// What is in flight at a stop gets this long.
const DRAIN: Duration = Duration::from_secs(5);

type PendingOf<F> = Pending<<F as Fold>::Request, <F as Fold>::Facts>;
/// A lane's facts, in the order of the commands that wait for them.
type EarlyFacts<F> = (<F as Fold>::Lane, Loaded<Vec<<F as Fold>::Facts>>);

/// A record of an epoch that is over. It counts, and is not acknowledged yet.
struct Settled<F: Fold> {
    epoch: u64,
    seq: u64,
    event: Arc<Event>,
    pending: PendingOf<F>,
    seen_at: Position,
}

/// Where the writer stands with its partition.
enum Role {
    /// Another node is chosen: it reads on, so that it could take over at once, and claims nothing.
    StandingBy,
    /// Reads to the end that the log had at this ask of the writer's; none while it is being asked.
    Opening { ask: u64, end: Option<Offset> },
    /// Has sent a claim and reads up to it.
    Claiming { claim: Uuid, since: Instant },
    /// Its last claim counts.
    Leading { next_seq: u64 },
    /// Waits before it claims.
    Pausing { until: Instant },
    /// Has read what it cannot read: it decides and claims nothing any more, whoever else claims.
    Stopped,
}

enum Done<F: Fold> {
    End { ask: u64, end: Result<Offset, LogError> },
    Appended { epoch: u64, first_seq: u64, outcomes: Vec<Appended> },
    Claimed { claim: Uuid, outcome: Option<Appended> },
    State { generation: u64, lane: F::Lane, loaded: Result<Loaded<F::State>, NotAccepted> },
    Facts { generation: u64, lane: F::Lane, read: Result<Loaded<Vec<F::Facts>>, NotAccepted> },
}

struct Service<F: Fold> {
    fold: Arc<F>,
    log: Arc<dyn Log>,
    feed: Feed<Event>,
    source: TopicPartition,
    config: WriterConfig,
    writer: Bytes,
    role: Role,
    /// The newest counted claim's epoch that was read.
    newest: u64,
    /// The epoch that the records in flight belong to.
    epoch: u64,
    /// Counts the times that all state was dropped, so that late look-ups are known to be of another life.
    generation: u64,
    /// Counts the asks for the end, so that a late answer is known to be of an earlier one.
    asks: u64,
    pause: Duration,
    /// When another's claim was read last.
    superseded: Option<Instant>,
    position: Position,
    lanes: Lanes<F::Lane, F::State, F::Request, F::Facts>,
    in_flight: Queue<F::Lane, F::Request, F::Facts>,
    /// Those of them that were not handed to the log yet: the newest.
    unsent: Vec<NewRecord>,
    /// This epoch's appends that are under way.
    appends: usize,
    /// Answers that wait for the next record.
    riders: Vec<(Answer, PendingOf<F>)>,
    /// Counted, but neither acknowledged by the log nor followed by a record of ours yet.
    settled: Vec<Settled<F>>,
    /// Facts that reflect more than was read here yet.
    early: Vec<EarlyFacts<F>>,
    done: mpsc::UnboundedSender<Done<F>>,
    /// Whether this node should write the partition.
    chosen: watch::Receiver<bool>,
    /// What the handle says.
    leads: Arc<AtomicU64>,
    /// That the log's `ts` are ahead of the clock was said.
    ahead_said: bool,
    /// Commands that wait, records in flight.
    gauges: [metrics::Gauge; 2],
}

/// Starts the writer of a partition, in a task of `tasks` that drains and ends with `stop`. It reads from `from` on, and
/// while it is `chosen` it claims, and then decides.
#[allow(clippy::too_many_arguments, reason = "each is of another kind, and there is one caller")]
pub(crate) fn start<F: Fold>(
    fold: F,
    feed: Feed<Event>,
    source: TopicPartition,
    from: Position,
    config: WriterConfig,
    chosen: watch::Receiver<bool>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> WriterHandle<F::Request> {
    let (inbox, submissions) = mpsc::channel(config.inbox_max);
    // Bounded by what can be under way: an end each time that this node is chosen, one claim, two appends an epoch, a look-up a lane.
    let (done, results) = mpsc::unbounded_channel();
    let leads = Arc::new(AtomicU64::new(0));
    let service = Service {
        fold: Arc::new(fold),
        log: feed.log().clone(),
        source,
        writer: Bytes::from(config.node.to_string()),
        role: Role::StandingBy,
        newest: from.epoch,
        epoch: 0,
        generation: 0,
        asks: 0,
        pause: PAUSE,
        superseded: None,
        position: from,
        lanes: Lanes::new(),
        in_flight: Queue::default(),
        unsent: Vec::new(),
        appends: 0,
        riders: Vec::new(),
        settled: Vec::new(),
        early: Vec::new(),
        done,
        chosen,
        leads: leads.clone(),
        ahead_said: false,
        gauges: ["teamlog_writer_waiting", "teamlog_writer_in_flight"]
            .map(|name| metrics::gauge!(name, "partition" => source.to_string())),
        config,
        feed: feed.clone(),
    };
    let subscriber = feed.subscribe(source, from);
    tasks.spawn(service.run(subscriber, submissions, results, stop.clone()));
    WriterHandle { inbox, leads, stop }
}

impl<F: Fold> Service<F> {
    async fn run(
        mut self,
        mut subscriber: Subscriber<Event>,
        mut submissions: mpsc::Receiver<Submission<F::Request>>,
        mut results: mpsc::UnboundedReceiver<Done<F>>,
        stop: CancellationToken,
    ) {
        self.take_the_role_it_should_have();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopping: Option<Instant> = None;
        loop {
            tokio::select! {
                entries = subscriber.next() => match entries {
                    Ok(entries) => self.on_entries(&entries),
                    Err(why) if why.may_pass() => tokio::time::sleep(TICK).await,
                    Err(FeedError::Stopping) => break,
                    Err(why) => {
                        error!(partition = %self.source, %why, "a writer stops: its partition cannot be read on");
                        self.role = Role::Stopped;
                    }
                },
                Some(done) = results.recv() => self.on_done(done),
                Some(submission) = submissions.recv() => {
                    self.on_submission(submission);
                    // Whoever runs on this thread and is about to hand in more does so first. What came with it is decided
                    // with it: group commit.
                    tokio::task::yield_now().await;
                    while let Ok(more) = submissions.try_recv() {
                        self.on_submission(more);
                    }
                }
                _ = tick.tick() => self.on_tick(),
                Ok(()) = self.chosen.changed() => self.take_the_role_it_should_have(),
                () = stop.cancelled(), if stopping.is_none() => {
                    stopping = Some(Instant::now() + DRAIN);
                    submissions.close();
                }
            }
            if matches!(self.role, Role::Stopped) {
                break;
            }
            self.decide();
            let leads = if matches!(self.role, Role::Leading { .. }) { self.epoch } else { 0 };
            self.leads.store(leads, Ordering::Relaxed);
            let idle = self.in_flight.is_empty() && self.lanes.waiting() == 0 && self.settled.is_empty();
            if stopping.is_some_and(|until| idle || until < Instant::now()) {
                break;
            }
        }
        self.leads.store(0, Ordering::Relaxed);
        let why = if matches!(self.role, Role::Stopped) { NotAccepted::Unreadable } else { NotAccepted::Stopping };
        submissions.close();
        while let Ok(submission) = submissions.try_recv() {
            let _ = submission.reply.send(Answer::not_accepted(why));
        }
        self.give_up(why);
    }

    // --- what comes in ----------------------------------------------------------------------------------------

    fn on_entries(&mut self, entries: &[Arc<Entry<Event>>]) {
        for entry in entries {
            self.position = entry.after;
            match &entry.body {
                Body::Claim { epoch, claim } => self.on_claim(*epoch, *claim),
                Body::Undecodable(why) => {
                    // A newer program's event: this one's state would lose it, so it must not decide any more.
                    error!(partition = %self.source, offset = %entry.offset, %why, "a writer stops deciding: it cannot read an event that counts");
                    self.role = Role::Stopped;
                    break;
                }
                Body::Event(_) | Body::Barrier => {
                    if let Some((epoch, seq)) = entry.epoch_and_seq()
                        && epoch == self.epoch
                        && let Some(record) = self.in_flight.get_mut(seq)
                    {
                        record.counted = Some(entry.after);
                        for (answer, mut pending) in record.riders.drain(..) {
                            // Whoever has read up to here has seen all that the answer was decided on.
                            pending.answer(answer.at(entry.after));
                        }
                    }
                }
                // A record of ours that overtook another closed the epoch, though the log acknowledged both.
                Body::Void(_) => {
                    let closed = entry.after.epoch == self.epoch && entry.after.next_seq.is_none();
                    if closed && matches!(self.role, Role::Leading { .. }) {
                        warn!(partition = %self.source, offset = %entry.offset, "this writer's epoch is closed by a gap");
                        self.pause_or_stand_by();
                    }
                }
                Body::Tombstone(_) => {}
            }
        }
        self.answer_done();
        self.claim_once_at_end();
        for (lane, loaded) in std::mem::take(&mut self.early) {
            self.on_facts(lane, loaded);
        }
    }

    fn on_done(&mut self, done: Done<F>) {
        match done {
            Done::End { ask, end } => self.on_end(ask, end),
            Done::Claimed { claim, outcome } => {
                let lost = !matches!(outcome, Some(Appended::At(_)));
                if lost && matches!(self.role, Role::Claiming { claim: mine, .. } if mine == claim) {
                    warn!(partition = %self.source, ?outcome, "a claim may not have come into the log");
                    self.pause_or_stand_by();
                }
            }
            Done::Appended { epoch, first_seq, outcomes } if epoch == self.epoch => {
                self.appends -= 1;
                self.on_late_outcomes(epoch, first_seq, &outcomes);
                let mut failed = false;
                for (outcome, seq) in outcomes.iter().zip(first_seq..) {
                    match (outcome, self.in_flight.get_mut(seq)) {
                        (Appended::At(_), Some(record)) => {
                            record.acked = true;
                            #[cfg(feature = "testing")]
                            if let (true, Appended::At(offset)) = (is_left_out(Rule::ReadBack), outcome) {
                                record.counted = Some(Position { offset: offset.next(), ..self.position });
                            }
                        }
                        (Appended::At(_), None) => {}
                        (Appended::Failed(why) | Appended::Unknown(why), _) => {
                            if !std::mem::replace(&mut failed, true) {
                                warn!(partition = %self.source, %why, "an append failed, and this writer's epoch is over");
                            }
                        }
                    }
                }
                self.answer_done();
                if failed && matches!(self.role, Role::Leading { .. }) {
                    metrics::counter!("teamlog_writer_failed_appends_total").increment(1);
                    self.pause_or_stand_by();
                }
            }
            Done::Appended { epoch, first_seq, outcomes } => self.on_late_outcomes(epoch, first_seq, &outcomes),
            Done::State { generation, lane, loaded } if generation == self.generation => {
                let it = self.lanes.lane(lane);
                match loaded {
                    Ok((state, _)) => it.state = Held::Here(state),
                    Err(why) => {
                        it.state = Held::Absent;
                        for mut pending in it.queue.drain(..) {
                            pending.turn_away(why);
                        }
                    }
                }
                self.lanes.wake(lane);
            }
            Done::Facts { generation, lane, read } if generation == self.generation => match read {
                Ok(loaded) => self.on_facts(lane, loaded),
                Err(why) => {
                    let it = self.lanes.lane(lane);
                    for mut pending in std::mem::take(&mut it.reading) {
                        pending.turn_away(why);
                        it.release(pending.actor);
                    }
                    self.lanes.wake(lane);
                }
            },
            Done::State { .. } | Done::Facts { .. } => {}
        }
    }

    fn on_submission(&mut self, submission: Submission<F::Request>) {
        let Submission { request, reply } = submission;
        if matches!(self.role, Role::StandingBy) {
            let _ = reply.send(Answer::not_accepted(NotAccepted::NotOwner));
            return;
        }
        let (lane, actor, deadline) =
            (self.fold.lane(&request), self.fold.actor(&request), self.fold.deadline(&request));
        let mut pending = Pending { request, actor, deadline, reply: Some(reply), facts: None, may_be_done: false };
        let lane_max = self.config.lane_max;
        let inbox_max = self.config.inbox_max;
        let full = self.lanes.waiting() >= inbox_max;
        let it = self.lanes.lane(lane);
        it.used = Instant::now();
        if full || it.waiting() + it.in_flight >= lane_max {
            metrics::counter!("teamlog_writer_busy_total").increment(1);
            return pending.answer(Answer::not_accepted(NotAccepted::Busy));
        }
        it.queue.push_back(pending);
        self.lanes.wake(lane);
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        match self.role {
            Role::Pausing { until } if until <= now => self.ask_for_end(),
            Role::Claiming { since, .. } if now.duration_since(since) > CLAIM_TIMEOUT => self.pause_or_stand_by(),
            _ => {}
        }
        let why = if matches!(self.role, Role::Leading { .. }) { NotAccepted::Late } else { NotAccepted::LogAway };
        let freed = self.lanes.iter_mut().filter_map(|(lane, it)| it.expire(now, why).then_some(lane));
        for lane in freed.collect::<Vec<_>>() {
            self.lanes.wake(lane);
        }
        for record in self.in_flight.iter_mut() {
            if let Some((_, _, pending)) = record.event.as_mut().filter(|(_, _, pending)| pending.deadline <= now) {
                pending.answer(Answer::Unknown);
            }
            for (_, pending) in record.riders.iter_mut().filter(|(_, pending)| pending.deadline <= now) {
                pending.turn_away(why);
            }
        }
        for settled in self.settled.iter_mut().filter(|settled| settled.pending.deadline <= now) {
            settled.pending.answer(Answer::Unknown);
        }
        self.settled.retain(|settled| settled.pending.reply.is_some());
        self.lanes.forget_idle(now);
        let [waiting, in_flight] = &self.gauges;
        waiting.set(self.lanes.waiting() as f64);
        in_flight.set(self.in_flight.len() as f64);
    }

    fn answer_done(&mut self) {
        while let Some(record) = self.in_flight.pop_done() {
            if let (Some((lane, event, mut pending)), Some(position)) = (record.event, record.counted) {
                let it = self.lanes.lane(lane);
                it.in_flight = it.in_flight.saturating_sub(1);
                pending.answer(self.acked(event, position, false));
            }
        }
    }

    // --- the end ----------------------------------------------------------------------------------------------

    fn give_up(mut self, why: NotAccepted) {
        for record in self.in_flight.drain().collect::<Vec<_>>() {
            if let Some((_, _, mut pending)) = record.event {
                pending.answer(Answer::Unknown);
            }
            for (_, mut pending) in record.riders {
                pending.turn_away(why);
            }
        }
        for mut settled in self.settled.drain(..) {
            settled.pending.answer(Answer::Unknown);
        }
        self.turn_away(why);
    }

    /// Answers everything that waits and was not appended.
    fn turn_away(&mut self, why: NotAccepted) {
        for (_, lane) in self.lanes.iter_mut() {
            lane.reset();
            for mut pending in lane.queue.drain(..) {
                pending.turn_away(why);
            }
        }
    }

    fn acked(&self, event: Arc<Event>, seen_at: Position, repeated: bool) -> Answer {
        Answer::Acked(Acked { event, partition: self.source.partition, seen_at, repeated })
    }
}
