//! Requests to the brokers: the number of partitions, their beginnings and ends. librdkafka blocks on them, so they run off
//! the runtime, a few at a time, each with a deadline.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::client::{Quiet, common, failed};
use super::config::KafkaConfig;
use super::names::Names;
use crate::{LogError, Offset, Topic, TopicPartition};

/// Threads that may wait for the brokers at the same time.
const AT_ONCE: usize = 8;

/// The pause before a partition without a leader is looked at again.
const LEADER_PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Query {
    consumer: Arc<BaseConsumer<Quiet>>,
    permits: Arc<Semaphore>,
    timeout: Duration,
    names: Arc<Names>,
    counts: [OnceLock<u32>; Topic::ALL.len()],
}

impl Query {
    pub(super) fn new(config: &KafkaConfig, names: Arc<Names>) -> Result<Query, LogError> {
        let consumer = common(config).create_with_context(Quiet).map_err(|error| LogError::Fatal(error.to_string()))?;
        Ok(Query {
            consumer: Arc::new(consumer),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            timeout: Duration::from_millis(config.request_timeout_ms),
            names,
            counts: Default::default(),
        })
    }

    /// The number of partitions, if it was requested before. It never changes.
    pub(super) fn known_partitions(&self, topic: Topic) -> Option<u32> {
        self.counts[index(topic)].get().copied()
    }

    pub(super) async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        if let Some(count) = self.known_partitions(topic) {
            return Ok(count);
        }
        let name = self.names.of(topic).to_owned();
        let count = self.run(move |consumer, timeout| count_partitions(consumer, &name, timeout)).await?;
        Ok(*self.counts[index(topic)].get_or_init(|| count))
    }

    /// # Errors
    /// [`LogError::Topics`] if there is no such partition.
    pub(super) async fn check(&self, of: TopicPartition) -> Result<(), LogError> {
        let count = self.partitions(of.topic).await?;
        if of.partition.0 < count { Ok(()) } else { Err(no_such(of, count)) }
    }

    /// Returns the first offset that is left and the first not yet written, of each partition.
    pub(super) async fn bounds(
        &self,
        of: Vec<TopicPartition>,
    ) -> Result<HashMap<TopicPartition, (Offset, Offset)>, LogError> {
        for one in &of {
            self.check(*one).await?;
        }
        let names = Arc::clone(&self.names);
        self.run(move |consumer, timeout| {
            // The start first: both only grow, so the start is never after the end.
            let starts = offsets(consumer, &names, &of, KafkaOffset::Beginning, timeout)?;
            let ends = offsets(consumer, &names, &of, KafkaOffset::End, timeout)?;
            Ok(of.iter().zip(starts.into_iter().zip(ends)).map(|(one, bounds)| (*one, bounds)).collect())
        })
        .await
    }

    pub(super) async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        self.check(of).await?;
        let names = Arc::clone(&self.names);
        self.run(move |consumer, timeout| {
            let ends = offsets(consumer, &names, &[of], KafkaOffset::End, timeout)?;
            ends.first().copied().ok_or_else(|| LogError::Unavailable(format!("no answer for {of}")))
        })
        .await
    }

    /// Runs a blocking request. The wait for a thread counts towards its deadline.
    async fn run<T: Send + 'static>(
        &self,
        request: impl FnOnce(&BaseConsumer<Quiet>, Duration) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let deadline = Instant::now() + self.timeout;
        let permit = tokio::time::timeout_at(deadline, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| LogError::Unavailable("too many requests wait for the brokers".into()))?
            .map_err(|_| LogError::Unavailable("it is being closed".into()))?;
        let consumer = Arc::clone(&self.consumer);
        let answer = tokio::task::spawn_blocking(move || {
            // The client's error events pile up in its queue unless they are taken here.
            while consumer.poll(Duration::ZERO).is_some() {}
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let answer = request(&consumer, left);
            drop(permit);
            answer
        });
        answer.await.map_err(|error| LogError::Fatal(error.to_string()))?
    }
}

/// The number of partitions of a topic, from a broker's metadata.
pub(super) fn count_partitions(consumer: &BaseConsumer<Quiet>, name: &str, timeout: Duration) -> Result<u32, LogError> {
    let metadata = consumer.fetch_metadata(Some(name), timeout).map_err(|error| failed(&error))?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Err(LogError::Unavailable(format!("no answer for the topic {name}")));
    };
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            return Err(LogError::NoTopic(name.to_owned()));
        }
        Some(code) => return Err(failed(&KafkaError::MetadataFetch(code))),
    }
    let count = u32::try_from(topic.partitions().len()).unwrap_or(0);
    if count == 0 { Err(LogError::Unavailable(format!("the topic {name} is being made"))) } else { Ok(count) }
}

pub(super) fn no_such(of: TopicPartition, count: u32) -> LogError {
    LogError::Topics(format!("there is no {of}: the topic has {count} partitions"))
}

/// The offset `which` of each partition. Retries while a partition has no leader, at most for `timeout`.
fn offsets(
    consumer: &BaseConsumer<Quiet>,
    names: &Names,
    of: &[TopicPartition],
    which: KafkaOffset,
    timeout: Duration,
) -> Result<Vec<Offset>, LogError> {
    let deadline = std::time::Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now()).max(Duration::from_millis(1));
        match offsets_once(consumer, names, of, which, left) {
            Err(LogError::Unavailable(_)) if std::time::Instant::now() + LEADER_PAUSE < deadline => {
                std::thread::sleep(LEADER_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// Looks the offsets up by time, for which the beginning and the end are special times. Unlike the query for watermarks,
/// one request serves any number of partitions.
fn offsets_once(
    consumer: &BaseConsumer<Quiet>,
    names: &Names,
    of: &[TopicPartition],
    which: KafkaOffset,
    timeout: Duration,
) -> Result<Vec<Offset>, LogError> {
    let mut list = TopicPartitionList::with_capacity(of.len());
    for one in of {
        list.add_partition_offset(names.of(one.topic), number(*one), which).map_err(|error| failed(&error))?;
    }
    let answer = consumer.offsets_for_times(list, timeout).map_err(|error| failed(&error))?;
    let found = |one: &TopicPartition| {
        let element = answer
            .find_partition(names.of(one.topic), number(*one))
            .ok_or_else(|| LogError::Unavailable(format!("no answer for {one}")))?;
        element.error().map_err(|error| failed(&error))?;
        match element.offset() {
            KafkaOffset::Offset(offset) => Ok(Offset(u64::try_from(offset).unwrap_or(0))),
            other => Err(LogError::Unavailable(format!("{other:?} is no offset of {one}"))),
        }
    };
    of.iter().map(found).collect()
}

/// A partition's number as an integer of librdkafka.
pub(super) fn number(of: TopicPartition) -> i32 {
    i32::try_from(of.partition.0).unwrap_or(i32::MAX)
}

fn index(topic: Topic) -> usize {
    Topic::ALL.iter().position(|one| *one == topic).unwrap_or(0)
}
