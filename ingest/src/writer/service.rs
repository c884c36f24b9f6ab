//! The writer's task.

mod claims;
mod deciding;
mod sent;
mod tenure;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
#[cfg(feature = "testing")]
use teamlog_log::testing::{Rule, is_left_out};
use teamlog_log::{Appended, Body, Entry, Feed, FeedError, LogError, Offset, Position, Subscriber, TopicPartition};
use teamlog_schemas::Event;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};
use uuid::Uuid;

use super::{
    Decider, Loaded, Submission, WriterConfig, WriterHandle,
    lanes::{Held, Lanes, Pending, PendingOf},
};
use crate::{Acked, Answer, NotAccepted};
use sent::Sent;
use tenure::{Phase, Tenure};

/// How often deadlines and pauses are looked at.
const TICK: Duration = Duration::from_millis(50);
/// The time after which a claim that was not read back is taken for lost.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for draining the records in flight at a shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// A lane's facts, in the order of the commands that wait for them.
type EarlyFacts<F> = (<F as Decider>::Lane, Loaded<Vec<<F as Decider>::Facts>>);

enum Done<F: Decider> {
    End { ask: u64, end: Result<Offset, LogError> },
    Appended { epoch: u64, first_seq: u64, outcomes: Vec<Appended> },
    Claimed { claim: Uuid, outcome: Option<Appended> },
    State { generation: u64, lane: F::Lane, loaded: Result<Loaded<F::State>, NotAccepted> },
    Facts { generation: u64, lane: F::Lane, read: Result<Loaded<Vec<F::Facts>>, NotAccepted> },
}

/// The writer's task: `tenure.rs` is whether it may write, `sent.rs` what it has decided and not answered yet, the lanes
/// what it has still to decide.
struct Service<F: Decider> {
    decider: Arc<F>,
    feed: Feed<Event>,
    source: TopicPartition,
    config: WriterConfig,
    /// The node's id, as the records' headers name it.
    writer: Bytes,
    /// The position that this writer has caught up to.
    position: Position,
    tenure: Tenure,
    lanes: Lanes<F::Lane, F::State, F::Request, F::Facts>,
    lookups: Lookups<F>,
    sent: Sent<F>,
    done: mpsc::UnboundedSender<Done<F>>,
    signs: Signs,
}

/// The look-ups that run outside of the task.
struct Lookups<F: Decider> {
    /// The number of times that all state was dropped. A look-up of an earlier generation is ignored.
    generation: u64,
    /// Facts that reflect a position which this writer has not caught up to yet.
    early: Vec<EarlyFacts<F>>,
}

/// The writer's metrics, and which warnings were logged.
struct Signs {
    /// True once the warning that the log's `ts` are ahead of the clock was logged.
    ahead_said: bool,
    /// Commands that wait, records in flight.
    gauges: [metrics::Gauge; 2],
}

/// Starts the writer of a partition, in a task of `tasks` that drains and ends with `stop`. It reads from `from` on, and
/// while it is `chosen` it claims, and then decides.
#[allow(clippy::too_many_arguments, reason = "each is of another kind, and there is one caller")]
pub(crate) fn start<F: Decider>(
    decider: F,
    feed: Feed<Event>,
    source: TopicPartition,
    from: Position,
    config: WriterConfig,
    chosen: watch::Receiver<bool>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> WriterHandle<F::Request> {
    let (inbox, submissions) = mpsc::channel(config.inbox_max);
    // Bounded by the work in flight: one end for each time that this node is chosen, one claim, two appends an epoch, one
    // look-up a lane.
    let (done, results) = mpsc::unbounded_channel();
    let leads = Arc::new(AtomicU64::new(0));
    let gauges = ["teamlog_writer_waiting", "teamlog_writer_in_flight"]
        .map(|name| metrics::gauge!(name, "partition" => source.to_string()));
    let service = Service {
        decider: Arc::new(decider),
        source,
        writer: Bytes::from(config.node.to_string()),
        position: from,
        tenure: Tenure::new(from.epoch, chosen, leads.clone()),
        lanes: Lanes::new(),
        lookups: Lookups { generation: 0, early: Vec::new() },
        sent: Sent::new(),
        done,
        signs: Signs { ahead_said: false, gauges },
        config,
        feed: feed.clone(),
    };
    let subscriber = feed.subscribe(source, from);
    tasks.spawn(service.run(subscriber, submissions, results, stop.clone()));
    WriterHandle { inbox, leads, stop }
}

impl<F: Decider> Service<F> {
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
                        self.tenure.phase = Phase::Stopped;
                    }
                },
                Some(done) = results.recv() => self.on_done(done),
                Some(submission) = submissions.recv() => {
                    self.on_submission(submission);
                    // Other tasks on this thread that are about to submit commands run first. All these commands are decided
                    // together: group commit.
                    tokio::task::yield_now().await;
                    while let Ok(more) = submissions.try_recv() {
                        self.on_submission(more);
                    }
                }
                _ = tick.tick() => self.on_tick(),
                Ok(()) = self.tenure.chosen.changed() => self.take_the_role_it_should_have(),
                () = stop.cancelled(), if stopping.is_none() => {
                    stopping = Some(Instant::now() + DRAIN);
                    submissions.close();
                }
            }
            if matches!(self.tenure.phase, Phase::Stopped) {
                break;
            }
            self.decide();
            self.tenure.publish();
            let idle = self.sent.is_empty() && self.lanes.waiting() == 0;
            if stopping.is_some_and(|until| idle || until < Instant::now()) {
                break;
            }
        }
        let why =
            if matches!(self.tenure.phase, Phase::Stopped) { NotAccepted::Unreadable } else { NotAccepted::Stopping };
        self.tenure.end();
        submissions.close();
        while let Ok(submission) = submissions.try_recv() {
            let _ = submission.reply.send(Answer::not_accepted(why));
        }
        self.sent.give_up(why);
        self.turn_away(why);
    }

    // --- what comes in ----------------------------------------------------------------------------------------

    fn on_entries(&mut self, entries: &[Arc<Entry<Event>>]) {
        for entry in entries {
            self.position = entry.after;
            match &entry.body {
                Body::Claim { epoch, claim } => self.on_claim(*epoch, *claim),
                Body::Undecodable(why) => {
                    // An event of a newer version: this writer's state would miss it, so it must not decide any more.
                    error!(partition = %self.source, offset = %entry.offset, %why, "a writer stops deciding: it cannot read an event that counts");
                    self.tenure.phase = Phase::Stopped;
                    break;
                }
                Body::Event(_) | Body::Barrier => {
                    if let Some((epoch, seq)) = entry.epoch_and_seq()
                        && epoch == self.tenure.epoch
                        && let Some(record) = self.sent.in_flight.get_mut(seq)
                    {
                        record.counted = Some(entry.after);
                        for (answer, mut pending) in record.riders.drain(..) {
                            // A reader that has caught up to here has seen all that the answer was decided on.
                            pending.answer(answer.at(entry.after));
                        }
                    }
                }
                // If two records of this writer change their order, the gap closes the epoch, though the log acknowledged
                // both.
                Body::Void(_) => {
                    let closed = entry.after.epoch == self.tenure.epoch && entry.after.next_seq.is_none();
                    if closed && matches!(self.tenure.phase, Phase::Leading { .. }) {
                        warn!(partition = %self.source, offset = %entry.offset, "this writer's epoch is closed by a gap");
                        self.pause_or_stand_by();
                    }
                }
                Body::Tombstone(_) => {}
            }
        }
        self.answer_done();
        self.claim_once_at_end();
        for (lane, loaded) in std::mem::take(&mut self.lookups.early) {
            self.on_facts(lane, loaded);
        }
    }

    fn on_done(&mut self, done: Done<F>) {
        match done {
            Done::End { ask, end } => self.on_end(ask, end),
            Done::Claimed { claim, outcome } => {
                let lost = !matches!(outcome, Some(Appended::At(_)));
                if lost && matches!(self.tenure.phase, Phase::Claiming { claim: mine, .. } if mine == claim) {
                    warn!(partition = %self.source, ?outcome, "a claim may not have come into the log");
                    self.pause_or_stand_by();
                }
            }
            Done::Appended { epoch, first_seq, outcomes } if epoch == self.tenure.epoch => {
                self.sent.appends -= 1;
                self.on_late_outcomes(epoch, first_seq, &outcomes);
                let mut failed = false;
                for (outcome, seq) in outcomes.iter().zip(first_seq..) {
                    match (outcome, self.sent.in_flight.get_mut(seq)) {
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
                if failed && matches!(self.tenure.phase, Phase::Leading { .. }) {
                    metrics::counter!("teamlog_writer_failed_appends_total").increment(1);
                    self.pause_or_stand_by();
                }
            }
            Done::Appended { epoch, first_seq, outcomes } => self.on_late_outcomes(epoch, first_seq, &outcomes),
            Done::State { generation, lane, loaded } if generation == self.lookups.generation => {
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
            Done::Facts { generation, lane, read } if generation == self.lookups.generation => match read {
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
        if matches!(self.tenure.phase, Phase::StandingBy) {
            let _ = reply.send(Answer::not_accepted(NotAccepted::NotOwner));
            return;
        }
        let (lane, actor, deadline) =
            (self.decider.lane(&request), self.decider.actor(&request), self.decider.deadline(&request));
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
        match self.tenure.phase {
            Phase::Pausing { until } if until <= now => self.ask_for_end(),
            Phase::Claiming { since, .. } if now.duration_since(since) > CLAIM_TIMEOUT => self.pause_or_stand_by(),
            _ => {}
        }
        let why =
            if matches!(self.tenure.phase, Phase::Leading { .. }) { NotAccepted::Late } else { NotAccepted::LogAway };
        let freed = self.lanes.iter_mut().filter_map(|(lane, it)| it.expire(now, why).then_some(lane));
        for lane in freed.collect::<Vec<_>>() {
            self.lanes.wake(lane);
        }
        self.sent.expire(now, why);
        self.lanes.forget_idle(now);
        let [waiting, in_flight] = &self.signs.gauges;
        waiting.set(self.lanes.waiting() as f64);
        in_flight.set(self.sent.in_flight.len() as f64);
    }

    /// Answers the commands of an epoch that is over whose records count and are acknowledged by these outcomes.
    fn on_late_outcomes(&mut self, epoch: u64, first_seq: u64, outcomes: &[Appended]) {
        for mut settled in self.sent.acknowledged(epoch, first_seq, outcomes) {
            settled.pending.answer(self.acked(settled.event, settled.seen_at, false));
        }
    }

    fn answer_done(&mut self) {
        while let Some(record) = self.sent.in_flight.pop_done() {
            if let (Some((lane, event, mut pending)), Some(position)) = (record.event, record.counted) {
                let it = self.lanes.lane(lane);
                it.in_flight = it.in_flight.saturating_sub(1);
                pending.answer(self.acked(event, position, false));
            }
        }
    }

    // --- the end ----------------------------------------------------------------------------------------------

    /// Turns away all commands that wait and were not appended.
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
