//! The timers of a partition: its scheduled messages, which the owner posts when they are due.
//!
//! ```text
//!   rows of the shard (the next hour) --+
//!                                       +--> pending, by time --> due? --> the writer: post it --> counts: it ends
//!   events after the rows --------------+                                       |
//!                                                                               +--> refused: it ends, with the reason
//! ```
//!
//! Timers are not durable by themselves: a new owner reads the same rows and events. The writer decides a post on its own
//! state of the scheduled message, which is gone once it was posted or deleted. So each is posted once, however often it is
//! tried, and the records of a former owner are void.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use teamlog_cluster::Clock;
use teamlog_log::{Entry, Feed, Partition, Position, Subscriber, TopicPartition};
use teamlog_schemas::{Event, ScheduleId, TeamId, Ts};
use teamlog_state::{TeamSource, Timer, TimerKey, timer_of, unscheduled_by};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    Answer, Nothing, Request, WriterHandle,
    commands::{Command, GiveUpScheduled, PostScheduled},
};

/// How far ahead timers are held in memory.
const AHEAD: Duration = Duration::from_secs(3600);
/// The timers are read anew once those in memory reach less far ahead than this.
const AHEAD_MIN: Duration = Duration::from_secs(1800);
/// Timers of a partition in memory: the next ones. Some 100 bytes each.
const PENDING_MAX: usize = 10_000;
/// The number of posts in flight in a partition: fewer than may wait for one team.
const FIRING_MAX: usize = 64;
/// The interval between two checks whether the writer leads.
const LOOK: Duration = Duration::from_millis(200);
/// The pause before rows or the log are read again, and before a post that was not accepted is retried.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one try to post may take.
const FIRE_WAIT: Duration = Duration::from_secs(10);

/// The parts that a partition's timers are made of.
pub(crate) struct Timers {
    pub(crate) partition: Partition,
    pub(crate) feed: Feed<Event>,
    pub(crate) source: Arc<dyn TeamSource<Position>>,
    /// The shard that has the partition's teams.
    pub(crate) shard: String,
    pub(crate) writer: WriterHandle<Request>,
    pub(crate) clock: Clock,
}

/// The timers of one tenure of the writer.
struct Tenure {
    subscriber: Subscriber<Event>,
    /// The timers by time, without those that are being posted.
    pending: BTreeMap<TimerKey, Pending>,
    /// The times of all that are pending or being posted.
    due: HashMap<(TeamId, ScheduleId), Ts>,
    /// The end of the time span that is held: every timer due before it is here, none that is due later.
    horizon: Ts,
    /// The last timer that is held, if there are too many; no timer after it is held.
    last: Option<TimerKey>,
    firing: JoinSet<(Timer, Fired)>,
}

struct Pending {
    timer: Timer,
    /// The moment before which it is not tried.
    not_before: Instant,
}

enum Fired {
    /// The message was posted, or its timer ended in another way.
    Ended,
    /// The post has to be retried after this time.
    Again(Duration),
}

impl Timers {
    /// Posts the due messages while the partition's writer leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled_owned(async move {
            loop {
                if let Some(epoch) = self.writer.leads() {
                    self.lead(epoch).await;
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }

    /// Posts the due messages as long as the writer's claim of this epoch is the newest that counts.
    async fn lead(&self, epoch: u64) {
        let gauge = metrics::gauge!("teamlog_scheduled_pending", "partition" => self.partition.to_string());
        let is_led = || self.writer.leads() == Some(epoch);
        let mut firing = JoinSet::new();
        let mut was_warned = false;
        while is_led() {
            let mut tenure = match self.load(firing).await {
                Ok(tenure) => tenure,
                Err(why) => {
                    if !std::mem::replace(&mut was_warned, true) {
                        warn!(partition = %self.partition, %why, "scheduled messages cannot be read, and none is posted");
                    }
                    firing = JoinSet::new();
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            was_warned = false;
            while is_led() && !tenure.is_short(self.clock.now()) {
                self.fire(&mut tenure);
                let wait = tenure.next_wait(self.clock.now());
                tokio::select! {
                    Some(fired) = tenure.firing.join_next() => tenure.on_fired(fired.ok()),
                    entries = tenure.subscriber.next() => match entries {
                        Ok(entries) => tenure.on_entries(&entries),
                        Err(why) if why.may_pass() => tokio::time::sleep(AGAIN).await,
                        // The feed shuts down, or has a record that it cannot read: then the writer ends as well.
                        Err(why) => {
                            debug!(partition = %self.partition, %why, "scheduled messages are not followed on");
                            return gauge.set(0.0);
                        }
                    },
                    () = tokio::time::sleep(wait) => {}
                }
                gauge.set(tenure.due.len() as f64);
            }
            firing = tenure.firing;
        }
        gauge.set(0.0);
    }

    /// Reads the timers of the next hour and subscribes to the events after these rows. Posts in flight go on.
    async fn load(&self, firing: JoinSet<(Timer, Fired)>) -> Result<Tenure, String> {
        let now = self.clock.now();
        let horizon = later(now, AHEAD);
        let read = self.source.timers(&self.shard, self.partition.0, horizon, PENDING_MAX).await;
        let read = read.map_err(|why| why.to_string())?;
        let last = read.rows.get(PENDING_MAX - 1).map(|timer| timer.key);
        let source = TopicPartition::events(self.partition);
        self.feed.check(source, &read.position).await.map_err(|why| why.to_string())?;
        let subscriber = self.feed.subscribe(source, read.position);
        let mut tenure = Tenure { subscriber, pending: BTreeMap::new(), due: HashMap::new(), horizon, last, firing };
        read.rows.into_iter().for_each(|timer| tenure.begin(timer));
        if !tenure.pending.is_empty() {
            info!(partition = %self.partition, timers = tenure.pending.len(), "scheduled messages wait");
        }
        Ok(tenure)
    }

    /// Starts to post the due messages, the longest due first.
    fn fire(&self, tenure: &mut Tenure) {
        let (now, moment) = (self.clock.now(), Instant::now());
        let free = FIRING_MAX.saturating_sub(tenure.firing.len());
        let due = tenure.pending.iter().take_while(|(key, _)| key.due <= now);
        let due = due.filter(|(_, pending)| pending.not_before <= moment).map(|(key, _)| *key);
        let due: Vec<TimerKey> = due.take(free).collect();
        for key in due {
            if let Some(Pending { timer, .. }) = tenure.pending.remove(&key) {
                tenure.firing.spawn(fire(self.writer.clone(), self.clock.clone(), timer));
            }
        }
    }
}

impl Tenure {
    fn begin(&mut self, timer: Timer) {
        let Timer { key, .. } = timer;
        let is_held = self.last.map_or(key.due < self.horizon, |last| key <= last);
        if !is_held || self.due.contains_key(&(key.team, key.schedule)) {
            return;
        }
        self.due.insert((key.team, key.schedule), key.due);
        self.pending.insert(key, Pending { timer, not_before: Instant::now() });
        if self.pending.len() > PENDING_MAX
            && let Some((last, _)) = self.pending.pop_last()
        {
            self.due.remove(&(last.team, last.schedule));
            self.last = self.pending.last_key_value().map(|(key, _)| *key);
        }
    }

    fn on_entries(&mut self, entries: &[Arc<Entry<Event>>]) {
        for event in entries.iter().filter_map(|entry| entry.event()) {
            if let Some(timer) = timer_of(event) {
                self.begin(timer);
            } else if let (Some(team), Some(schedule)) = (event.team(), unscheduled_by(event))
                && let Some(due) = self.due.remove(&(team, schedule))
            {
                self.pending.remove(&TimerKey { due, team, schedule });
            }
        }
    }

    fn on_fired(&mut self, fired: Option<(Timer, Fired)>) {
        let Some((timer, fired)) = fired else { return };
        let Timer { key, .. } = timer;
        match fired {
            Fired::Ended => {
                self.due.remove(&(key.team, key.schedule));
            }
            // Not if the timer has ended meanwhile.
            Fired::Again(wait) if self.due.contains_key(&(key.team, key.schedule)) => {
                self.pending.insert(key, Pending { timer, not_before: Instant::now() + wait });
            }
            Fired::Again(_) => {}
        }
    }

    /// Whether more timers have to be read: those that are held do not reach far enough.
    fn is_short(&self, now: Ts) -> bool {
        match self.last {
            Some(_) => self.pending.is_empty(),
            None => self.horizon < later(now, AHEAD_MIN),
        }
    }

    /// How long to wait for the next one, at most until the next look. Where no more can be posted at one time, the end of a
    /// post is waited for.
    fn next_wait(&self, now: Ts) -> Duration {
        let first = self.pending.first_key_value().filter(|_| self.firing.len() < FIRING_MAX);
        let Some((key, pending)) = first else { return LOOK };
        let micros = u64::try_from(key.due.micros() - now.micros()).unwrap_or(0);
        // One that is due and has failed is not tried before its pause is over.
        let pause = pending.not_before.saturating_duration_since(Instant::now());
        Duration::from_micros(micros).max(pause).clamp(Duration::from_millis(1), LOOK)
    }
}

/// Tries to post a scheduled message; one whose post is refused ends with the reason.
async fn fire(writer: WriterHandle<Request>, clock: Clock, timer: Timer) -> (Timer, Fired) {
    let Timer { key: TimerKey { due, team, schedule }, by, conversation, root } = timer;
    let post = PostScheduled { schedule, conversation, root };
    let submit = async |actor, command: Command| {
        let request = Request {
            team,
            actor,
            method: "scheduled".into(),
            key: Some(format!("scheduled/{schedule}")),
            deadline: Instant::now() + FIRE_WAIT,
            traceparent: None,
            command,
        };
        let deadline = request.deadline;
        writer.submit(request, deadline).await
    };
    let mut answer = submit(Some(by), post.into()).await;
    if let Answer::Acked(acked) = &answer
        && !acked.repeated
    {
        let late = u64::try_from(clock.now().micros() - due.micros()).unwrap_or(0);
        metrics::counter!("teamlog_scheduled_posted_total").increment(1);
        metrics::histogram!("teamlog_scheduled_late_seconds").record(Duration::from_micros(late).as_secs_f64());
    }
    if let Answer::Refused(why) = answer {
        info!(%team, %schedule, why = why.code(), "a scheduled message cannot be posted");
        metrics::counter!("teamlog_scheduled_failed_total").increment(1);
        answer = submit(None, GiveUpScheduled { conversation, schedule, why: why.code().to_owned() }.into()).await;
    }
    let fired = match answer {
        Answer::Acked(_) => Fired::Ended,
        Answer::Nothing { why: Nothing::NotDue, .. } => Fired::Again(LOOK),
        Answer::Nothing { .. } => Fired::Ended,
        Answer::Refused(why) => {
            warn!(%team, %schedule, why = why.code(), "a scheduled message can be neither posted nor given up");
            Fired::Again(AGAIN * 60)
        }
        Answer::NotAccepted { .. } | Answer::Unknown => Fired::Again(AGAIN),
    };
    (timer, fired)
}

fn later(now: Ts, by: Duration) -> Ts {
    Ts::from_micros(now.micros().saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}
