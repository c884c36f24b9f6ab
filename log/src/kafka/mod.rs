//! The engine on Kafka.
//!
//! Reports of librdkafka are mapped to "not in the log" and "possibly in the log", and no further: the fence and the
//! writer's next claim settle the rest.

mod client;
mod config;
mod names;
mod producer;
mod query;
mod reader;
mod topics;

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

pub use self::config::{Compression, KafkaConfig};

use self::names::Names;
use self::producer::Producers;
use self::query::{Query, no_such};
use self::reader::KafkaReader;
use crate::limits::RECORD_BYTES_MAX;
use crate::{Appended, Log, LogError, NewRecord, Offset, Reader, Topic, TopicPartition};

/// The engine on Kafka.
pub struct KafkaLog {
    config: KafkaConfig,
    names: Arc<Names>,
    producers: Arc<Producers>,
    query: Arc<Query>,
}

impl KafkaLog {
    /// Makes the clients. They connect by themselves, now or once the brokers are available; until then operations fail with
    /// `Unavailable`.
    ///
    /// # Errors
    /// [`LogError::Fatal`] if librdkafka refuses the settings.
    pub fn connect(config: KafkaConfig) -> Result<Arc<KafkaLog>, LogError> {
        let names = Arc::new(Names::new(&config.prefix));
        let query = Arc::new(Query::new(&config, Arc::clone(&names))?);
        let producers = Arc::new(Producers::new(&config)?);
        Ok(Arc::new(KafkaLog { config, names, producers, query }))
    }

    /// Creates the topics that do not exist. Safe to repeat.
    ///
    /// # Errors
    /// [`LogError::Topics`] if an existing topic has another number of partitions than configured, or the brokers cannot
    /// create one as configured (more replicas than brokers); [`LogError::Unavailable`].
    pub async fn create_topics(&self) -> Result<(), LogError> {
        if self.config.partitions == 0 || self.config.replication == 0 {
            return Err(LogError::Topics("a topic has at least one partition and one replica".into()));
        }
        topics::create(&self.config, Arc::clone(&self.names)).await
    }

    /// Rejects new records and waits for the outcome of those in flight, at most one second longer than the delivery timeout.
    /// Readers go on.
    pub async fn close(&self) {
        self.producers.close();
        let producers = Arc::clone(&self.producers);
        if let Err(error) = tokio::task::spawn_blocking(move || producers.flush()).await {
            tracing::warn!(%error, "waiting for the log's producers");
        }
    }

    fn refuse(&self, to: TopicPartition, record: &NewRecord) -> Option<LogError> {
        // The number is not known before the first request for it; then librdkafka rejects the record.
        if let Some(count) = self.query.known_partitions(to.topic)
            && to.partition.0 >= count
        {
            return Some(no_such(to, count));
        }
        let bytes =
            record.key.as_ref().map_or(0, bytes::Bytes::len) + record.value.as_ref().map_or(0, bytes::Bytes::len);
        (bytes > RECORD_BYTES_MAX).then_some(LogError::TooLarge { bytes })
    }
}

impl Drop for KafkaLog {
    /// Sends the records in flight, in a thread of its own, for the wait must not block the runtime.
    fn drop(&mut self) {
        self.producers.close();
        let producers = Arc::clone(&self.producers);
        let query = Arc::clone(&self.query);
        std::thread::spawn(move || {
            producers.flush();
            drop((producers, query));
        });
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.query.partitions(topic).await
    }

    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>> {
        let errors: Vec<Option<LogError>> = records.iter().map(|record| self.refuse(to, record)).collect();
        let mut refused = errors.iter();
        let mut good = records;
        good.retain(|_| refused.next().is_some_and(Option::is_none));
        let count = errors.len();
        let outcome = self.producers.append(to, self.names.of(to.topic), &good, errors);
        metrics::gauge!("teamlog_log_queue_records", "engine" => "kafka").set(self.producers.depth() as f64);
        let lost = move |_| vec![Appended::Unknown(LogError::Fatal("a producer lost its records".into())); count];
        outcome.map(move |outcome| outcome.unwrap_or_else(lost)).boxed()
    }

    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        self.query.end(of).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        let reader = KafkaReader::open(&self.config, Arc::clone(&self.names), Arc::clone(&self.query), from).await?;
        Ok(Box::new(reader))
    }
}
