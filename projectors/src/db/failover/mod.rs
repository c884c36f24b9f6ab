//! Queries to the nearest replica that is available and recent enough.
//!
//! For each query, `choice` orders the replicas by the figures in `health`. `race` asks them one after the other, and asks
//! the second one early if the first is late. The results update `health`. A replica that is not asked is probed once a
//! second, so that its figures stay current; a replica that failed is probed after a pause.

mod choice;
mod health;
mod race;

use std::{
    any::TypeId,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use teamlog_log::{Feed, Position, TopicPartition};
use teamlog_schemas::Event;
use teamlog_state::{At, SourceError};
use tokio::time::Instant;

use self::{
    choice::{Candidate, Choice, choose},
    health::{Breaker, Budget, Health, Place},
    race::{Ended, Found, race},
};
use super::{DbError, Replica, Schema, Tx, read_position, read_positions};

/// The time after which a query to one replica counts as failed.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// A query to a view. Queries of one type must take about equally long: late ones are recognized by the type's average.
#[async_trait]
pub(crate) trait Query: Send + Sync + 'static {
    type Answer: Send;
    async fn run(&self, tx: &mut Tx) -> Result<Self::Answer, DbError>;
}

/// The replicas of one view, in the order in which they are asked while nothing is known of them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replicas {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    members: Vec<Member>,
    /// Answers if every replica has another schema. Its answers are as of the log's start, from where the tail bridges to
    /// the end while the log is not longer than a scan may be.
    empty: Replica,
    /// The index of the replica that is asked first, other things being equal.
    preferred: Mutex<usize>,
    hedges: Mutex<Budget>,
    /// The tail that bridges from a replica's position to the end, once [`Replicas::follow`] was called.
    tail: OnceLock<Feed<Event>>,
}

struct Member {
    replica: Replica,
    health: Mutex<Health>,
    meters: Meters,
}

struct Meters {
    seconds: metrics::Histogram,
    breaker: metrics::Gauge,
    choices: metrics::Counter,
    failures: metrics::Counter,
    hedges: metrics::Counter,
}

impl Meters {
    fn new(view: &str, replica: &Replica) -> Meters {
        let labels = [("view", view.to_owned()), ("replica", replica.name().to_owned())];
        Meters {
            seconds: metrics::histogram!("teamlog_replica_seconds", &labels),
            breaker: metrics::gauge!("teamlog_replica_breaker", &labels),
            choices: metrics::counter!("teamlog_replica_choices_total", &labels),
            failures: metrics::counter!("teamlog_replica_failures_total", &labels),
            hedges: metrics::counter!("teamlog_replica_hedges_total", &labels),
        }
    }
}

impl Replicas {
    /// The replicas of a view, all of one schema.
    pub(crate) fn new(name: &str, schema: &'static Schema, replicas: Vec<Replica>) -> Replicas {
        let member = |replica: Replica| {
            let meters = Meters::new(name, &replica);
            Member { replica, health: Mutex::new(Health::new()), meters }
        };
        let inner = Inner {
            name: name.to_owned(),
            members: replicas.into_iter().map(member).collect(),
            empty: Replica::empty(name, schema),
            preferred: Mutex::new(0),
            hedges: Mutex::new(Budget::new()),
            tail: OnceLock::new(),
        };
        Replicas { inner: Arc::new(inner) }
    }

    /// From now on, prefers replicas whose position the ring of `feed` reaches over those that lag further.
    pub(crate) fn follow(&self, feed: &Feed<Event>) {
        let _ = self.inner.tail.set(feed.clone());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Replica> {
        self.inner.members.iter().map(|member| &member.replica)
    }

    /// Runs a query. Returns the first answer whose position the tail bridges, or else the most recent answer, with the
    /// position of `source` in the same snapshot. Replicas with another schema are skipped. If all have another schema, the
    /// answer is that of an empty view at the log's start.
    pub(crate) async fn ask<Q: Query>(
        &self,
        source: TopicPartition,
        query: &Q,
    ) -> Result<At<Position, Q::Answer>, SourceError> {
        let inner = &*self.inner;
        let (candidates, Choice { order, .. }) = inner.choose(source);
        if let Some(first) = order.first() {
            inner.members[*first].meters.choices.increment(1);
            self.look_at_others(source, *first);
        }
        inner.hedges.lock().asked();
        // Which of them have given a sign.
        let signs: Vec<AtomicBool> = candidates.iter().map(|_| AtomicBool::new(false)).collect();
        let mut told = None;
        let may_hedge = |late: usize, next: usize, waited: Duration| {
            if told.replace(late) != Some(late) && !signs[late].load(Ordering::Relaxed) {
                inner.is_late(late, waited);
            }
            inner.may_hedge(source, &candidates, late, next)
        };
        let ended: Ended<At<Position, Q::Answer>, DbError> = race(
            &order,
            |at| inner.attempt(at, source, query, &signs[at]),
            |at| inner.members[at].health.lock().patience(TypeId::of::<Q>()),
            may_hedge,
            |one: &At<Position, Q::Answer>, other| one.position.offset > other.position.offset,
        )
        .await;
        if let Some((_, answer)) = ended.answer {
            return Ok(answer);
        }
        let failed = match ended.failed {
            Some(DbError::OtherSchema(_)) => match answer(&inner.empty, source, query).await {
                Ok(answer) => return Ok(answer),
                Err(why) => Some(why),
            },
            failed => failed,
        };
        let shard = inner.name.clone();
        Err(match failed {
            Some(DbError::Broken(why)) => SourceError::Broken { shard, why },
            Some(error) => SourceError::Away { shard, why: error.to_string() },
            None => SourceError::Away { shard, why: "it is not configured here".to_owned() },
        })
    }

    /// Probes replicas whose figures are old or whose pause is over. This happens beside the query: no reader waits for it.
    fn look_at_others(&self, source: TopicPartition, first: usize) {
        let now = Instant::now();
        for (at, member) in self.inner.members.iter().enumerate() {
            let is_due = {
                let mut health = member.health.lock();
                // The asked replica's answer updates its figures anyway. With a single replica there is nothing to choose.
                let is_asked = at == first && health.breaker() == Breaker::Closed;
                !is_asked && self.inner.members.len() > 1 && health.is_look_due(now)
            };
            if is_due {
                let inner = self.inner.clone();
                tokio::spawn(async move { inner.look(at, source).await });
            }
        }
    }
}

impl Inner {
    fn choose(&self, source: TopicPartition) -> (Vec<Candidate>, Choice) {
        let candidate = |member: &Member| member.health.lock().candidate(source);
        let candidates: Vec<Candidate> = self.members.iter().map(candidate).collect();
        let mut preferred = self.preferred.lock();
        let choice = choose(&candidates, *preferred);
        *preferred = choice.preferred;
        (candidates, choice)
    }

    /// Whether a second one is asked as well. There is a budget for it; but once the late one is not the first choice any
    /// more, its readers go where they would go now.
    fn may_hedge(&self, source: TopicPartition, candidates: &[Candidate], late: usize, next: usize) -> bool {
        // A replica whose breaker is open would hardly answer earlier.
        if candidates[next].open && !candidates[late].open {
            return false;
        }
        let has_moved = self.choose(source).1.order.first() != Some(&late);
        let may = has_moved || self.hedges.lock().take();
        if may {
            self.members[late].meters.hedges.increment(1);
        }
        may
    }

    async fn attempt<Q: Query>(
        &self,
        at: usize,
        source: TopicPartition,
        query: &Q,
        sign: &AtomicBool,
    ) -> Result<Found<At<Position, Q::Answer>>, DbError> {
        let member = &self.members[at];
        let (begun, was_open) = (Instant::now(), member.replica.is_open());
        let work = async {
            let mut tx = member.replica.read().await?;
            let position = read_position(&mut tx, source).await?;
            sign.store(true, Ordering::Relaxed);
            self.reached(at, was_open.then(|| begun.elapsed()));
            let bridged = self.stands(at, source, &position);
            let rows = query.run(&mut tx).await?;
            tx.commit().await?;
            Ok((bridged, At { position, rows }))
        };
        let (bridged, answer) = in_time(&member.replica, work).await.inspect_err(|why| self.failed(at, why))?;
        self.answered(at, was_open.then(|| (TypeId::of::<Q>(), begun.elapsed())));
        Ok(if bridged { Found::Good(answer) } else { Found::Behind(answer) })
    }

    /// The part of a question that is the same for all, and where it stands in each source.
    async fn look(&self, at: usize, source: TopicPartition) {
        let member = &self.members[at];
        let (begun, was_open) = (Instant::now(), member.replica.is_open());
        self.show(at);
        let work = async {
            let mut tx = member.replica.read().await?;
            read_position(&mut tx, source).await?;
            self.reached(at, was_open.then(|| begun.elapsed()));
            read_positions(&mut tx).await
        };
        let seen = in_time(&member.replica, work).await;
        member.health.lock().looked();
        match seen {
            Ok(positions) => {
                let read: Vec<TopicPartition> = self.tail.get().into_iter().flat_map(Feed::partitions).collect();
                for (source, position) in positions.iter().filter(|(source, _)| read.contains(source)) {
                    self.stands(at, *source, position);
                }
                self.answered(at, None);
            }
            Err(why) => {
                // Connections to a server that died hang for long: the next probe begins with new ones.
                member.replica.forget();
                self.failed(at, &why);
            }
        }
    }

    fn reached(&self, at: usize, took: Option<Duration>) {
        let member = &self.members[at];
        member.health.lock().reached(took, Instant::now());
        if let Some(took) = took {
            member.meters.seconds.record(took.as_secs_f64());
        }
    }

    /// Records a replica's position. Returns true if the tail bridges it to the end, or if there is no tail.
    fn stands(&self, at: usize, source: TopicPartition, position: &Position) -> bool {
        let Some(feed) = self.tail.get() else { return true };
        let lag = feed.position(source).offset.0.saturating_sub(position.offset.0);
        let bridged = feed.reaches_back(source, position);
        let is_news = self.members[at].health.lock().stands(source, Place { lag, bridged });
        if is_news && self.members.len() > 1 {
            let (view, replica, at) = (&*self.name, self.members[at].replica.name(), position.offset);
            tracing::warn!(view, replica, %source, %at, "a replica lags too far behind to be read");
        }
        bridged
    }

    fn answered(&self, at: usize, kind: Option<(TypeId, Duration)>) {
        let member = &self.members[at];
        if member.health.lock().answered(kind) {
            tracing::info!(view = &*self.name, replica = member.replica.name(), "a replica answers again");
            self.show(at);
        }
    }

    fn is_late(&self, at: usize, waited: Duration) {
        let member = &self.members[at];
        if member.health.lock().is_late(waited, Instant::now()) {
            let (view, replica) = (&*self.name, member.replica.name());
            tracing::warn!(view, replica, "a replica gives no sign and is left alone");
            self.show(at);
        }
    }

    fn failed(&self, at: usize, error: &DbError) {
        let member = &self.members[at];
        member.meters.failures.increment(1);
        let is_news = member.health.lock().failed(Instant::now());
        if let DbError::OtherSchema(other) = error {
            other.report();
        } else if is_news {
            tracing::warn!(view = &*self.name, %error, "a replica could not be read");
        }
        self.show(at);
    }

    fn show(&self, at: usize) {
        let member = &self.members[at];
        member.meters.breaker.set(match member.health.lock().breaker() {
            Breaker::Closed => 0.0,
            Breaker::HalfOpen { .. } => 1.0,
            Breaker::Open { .. } => 2.0,
        });
    }
}

/// Asks a replica for the position of a source and for the answer to a question, in one snapshot.
async fn answer<Q: Query>(
    replica: &Replica,
    source: TopicPartition,
    query: &Q,
) -> Result<At<Position, Q::Answer>, DbError> {
    let mut tx = replica.read().await?;
    let position = read_position(&mut tx, source).await?;
    Ok(At { position, rows: query.run(&mut tx).await? })
}

async fn in_time<T>(replica: &Replica, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    tokio::time::timeout(QUERY_TIMEOUT, work).await.unwrap_or_else(|_| {
        Err(DbError::Away { replica: replica.name().to_owned(), why: "no answer in 2 s".to_owned() })
    })
}
