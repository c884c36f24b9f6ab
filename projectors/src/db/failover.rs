//! Reading from whichever replica answers.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use teamlog_log::{Feed, Position, TopicPartition};
use teamlog_schemas::Event;
use teamlog_state::{At, SourceError};

use super::{DbError, Replica, Tx, read_position};

/// How long one replica may take for one query before the next one is asked.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a replica that failed, or lags too far behind, is asked last: so that a dead one costs one timeout a second and
/// not one a query.
const SHUNNED: Duration = Duration::from_secs(1);

/// One question to a view.
#[async_trait]
pub(crate) trait Query: Send + Sync {
    type Answer: Send;
    async fn run(&self, tx: &mut Tx) -> Result<Self::Answer, DbError>;
}

/// The replicas of one view, nearest first. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replicas {
    name: Arc<str>,
    replicas: Arc<Vec<(Replica, Mutex<Option<Instant>>)>>,
    /// What bridges from a replica's position to the end, once there is one.
    tail: Arc<OnceLock<Feed<Event>>>,
}

impl Replicas {
    pub(crate) fn new(name: &str, replicas: Vec<Replica>) -> Replicas {
        let replicas = replicas.into_iter().map(|replica| (replica, Mutex::new(None))).collect();
        Replicas { name: name.into(), replicas: Arc::new(replicas), tail: Arc::default() }
    }

    /// From now on a replica is passed over that stands further back than the ring of `feed` reaches, if another does not.
    pub(crate) fn follow(&self, feed: &Feed<Event>) {
        let _ = self.tail.set(feed.clone());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().map(|(replica, _)| replica)
    }

    /// The answer of the first replica that has one and whose position the tail bridges, else of the one furthest on;
    /// with the position of `source` in the same snapshot.
    pub(crate) async fn ask<Q: Query>(
        &self,
        source: TopicPartition,
        query: &Q,
    ) -> Result<At<Position, Q::Answer>, SourceError> {
        let is_shunned = |at: usize| self.replicas[at].1.lock().is_some_and(|since| since.elapsed() < SHUNNED);
        let mut order: Vec<usize> = (0..self.replicas.len()).collect();
        order.sort_by_key(|at| is_shunned(*at));
        let (mut last, mut behind) = (None, None::<At<Position, Q::Answer>>);
        for at in order {
            let (replica, failed) = &self.replicas[at];
            let answer = tokio::time::timeout(QUERY_TIMEOUT, run(replica, source, query)).await.unwrap_or_else(|_| {
                Err(DbError::Away { replica: replica.name().to_owned(), why: "no answer in 2 s".to_owned() })
            });
            match answer {
                Ok(answer) if self.tail.get().is_some_and(|feed| !feed.reaches_back(source, &answer.position)) => {
                    if self.replicas.len() > 1 && failed.lock().replace(Instant::now()).is_none() {
                        let (view, replica, at) = (&*self.name, replica.name(), answer.position.offset);
                        tracing::warn!(view, replica, %source, %at, "a replica lags too far behind to be read");
                    }
                    if behind.as_ref().is_none_or(|other| other.position.offset < answer.position.offset) {
                        behind = Some(answer);
                    }
                }
                Ok(answer) => {
                    if failed.lock().take().is_some() {
                        tracing::info!(view = &*self.name, replica = replica.name(), "a replica answers again");
                    }
                    return Ok(answer);
                }
                Err(error) => {
                    if failed.lock().replace(Instant::now()).is_none() {
                        tracing::warn!(view = &*self.name, %error, "a replica could not be read");
                    }
                    metrics::counter!("teamlog_replica_failures_total", "view" => self.name.to_string()).increment(1);
                    last = Some(error);
                }
            }
        }
        if let Some(answer) = behind {
            return Ok(answer);
        }
        let shard = self.name.to_string();
        Err(match last {
            Some(DbError::Broken(why)) => SourceError::Broken { shard, why },
            Some(error) => SourceError::Away { shard, why: error.to_string() },
            None => SourceError::Away { shard, why: "it is not configured here".to_owned() },
        })
    }
}

async fn run<Q: Query>(
    replica: &Replica,
    source: TopicPartition,
    query: &Q,
) -> Result<At<Position, Q::Answer>, DbError> {
    let mut tx = replica.read().await?;
    let position = read_position(&mut tx, source).await?;
    let rows = query.run(&mut tx).await?;
    tx.commit().await?;
    Ok(At { position, rows })
}
