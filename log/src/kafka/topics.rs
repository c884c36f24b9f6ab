//! The creation of the topics on the brokers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Quiet, common, failed};
use super::config::KafkaConfig;
use super::names::Names;
use super::query::count_partitions;
use crate::limits::KAFKA_MESSAGE_BYTES_MAX;
use crate::{Kept, LogError, Topic};

/// How long the heartbeats of nodes that are gone for good are kept.
const NODES_KEPT: Duration = Duration::from_secs(3600);

/// How long the brokers may take to know a topic after its creation.
const SETTLING: Duration = Duration::from_secs(10);

/// Creates the topics that do not exist, and checks the others.
pub(super) async fn create(config: &KafkaConfig, names: Arc<Names>) -> Result<(), LogError> {
    let admin: AdminClient<Quiet> =
        common(config).create_with_context(Quiet).map_err(|error| LogError::Fatal(error.to_string()))?;
    let texts = Texts::new(config);
    let topics: Vec<NewTopic<'_>> =
        Topic::ALL.into_iter().map(|topic| texts.topic(topic, names.of(topic), config)).collect();
    let timeout = Duration::from_millis(config.request_timeout_ms);
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let created = admin.create_topics(&topics, &options).await.map_err(|error| failed(&error));
    // The client's threads end when it is dropped, which blocks.
    tokio::task::spawn_blocking(move || drop(admin));
    for result in created? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(refused(&name, code)),
        }
    }
    let config = config.clone();
    let checked = tokio::task::spawn_blocking(move || check(&config, &names));
    checked.await.map_err(|error| LogError::Fatal(error.to_string()))?
}

/// Waits until every topic is known, and compares its number of partitions with the configured one.
fn check(config: &KafkaConfig, names: &Names) -> Result<(), LogError> {
    let consumer: BaseConsumer<Quiet> =
        common(config).create_with_context(Quiet).map_err(|error| LogError::Fatal(error.to_string()))?;
    let deadline = Instant::now() + SETTLING;
    let timeout = Duration::from_millis(config.request_timeout_ms);
    for topic in Topic::ALL {
        let name = names.of(topic);
        let found = loop {
            match count_partitions(&consumer, name, timeout) {
                Ok(found) => break found,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(LogError::Fatal(reason)) => return Err(LogError::Fatal(reason)),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let wanted = topic.partitions(config.partitions);
        if found != wanted {
            return Err(LogError::Topics(format!(
                "the topic {name} has {found} partitions, not {wanted}: their number can never change"
            )));
        }
    }
    Ok(())
}

fn refused(name: &str, code: RDKafkaErrorCode) -> LogError {
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor
        | RDKafkaErrorCode::InvalidPartitions
        | RDKafkaErrorCode::InvalidConfig
        | RDKafkaErrorCode::InvalidTopic
        | RDKafkaErrorCode::PolicyViolation => LogError::Topics(format!("the topic {name} cannot be made: {code}")),
        other => failed(&rdkafka::error::KafkaError::AdminOp(other)),
    }
}

/// Settings as the text that `NewTopic` borrows.
struct Texts {
    message_bytes_max: String,
    nodes_kept_ms: String,
    in_sync_min: &'static str,
}

impl Texts {
    fn new(config: &KafkaConfig) -> Texts {
        Texts {
            message_bytes_max: KAFKA_MESSAGE_BYTES_MAX.to_string(),
            nodes_kept_ms: NODES_KEPT.as_millis().to_string(),
            // With fewer than three replicas, the loss of one would stop all writing.
            in_sync_min: if config.replication >= 3 { "2" } else { "1" },
        }
    }

    fn topic<'a>(&'a self, topic: Topic, name: &'a str, config: &KafkaConfig) -> NewTopic<'a> {
        let partitions = topic.partitions(config.partitions);
        let new = NewTopic::new(
            name,
            i32::try_from(partitions).unwrap_or(i32::MAX),
            TopicReplication::Fixed(i32::try_from(config.replication).unwrap_or(i32::MAX)),
        )
        .set("min.insync.replicas", self.in_sync_min)
        .set("unclean.leader.election.enable", "false")
        .set("max.message.bytes", &self.message_bytes_max)
        .set("compression.type", "producer");
        match topic.kept() {
            Kept::ForEver => new
                .set("cleanup.policy", "delete")
                .set("retention.ms", "-1")
                .set("retention.bytes", "-1")
                .set("message.timestamp.type", "CreateTime"),
            Kept::Newest => new.set("cleanup.policy", "compact").set("message.timestamp.type", "CreateTime"),
            // The newest segment is never compacted, so it is ended often. If two processes begin one consumer at the same time,
            // the record that came first decides: it stays at least as long as that can take.
            Kept::NewestSoon => new
                .set("cleanup.policy", "compact")
                .set("segment.ms", "3600000")
                .set("min.compaction.lag.ms", "3600000")
                .set("min.cleanable.dirty.ratio", "0.2")
                .set("message.timestamp.type", "CreateTime"),
            Kept::Beats => new
                .set("cleanup.policy", "compact,delete")
                .set("retention.ms", &self.nodes_kept_ms)
                .set("segment.ms", "600000")
                .set("message.timestamp.type", "LogAppendTime"),
        }
    }
}
