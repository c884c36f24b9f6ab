//! The engine on Kafka against the conformance suite, on real brokers: `make test` starts them and sets
//! `TEAMLOG_TEST_KAFKA=host:port`.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use teamlog_log::testing::conformance::{PARTITIONS, QUEUE_RECORDS_MAX, Subject};
use teamlog_log::{
    Appended, KafkaConfig, KafkaLog, Log, LogError, NewRecord, Offset, Partition, Stamp, Topic, TopicPartition,
};

struct Kafka {
    config: KafkaConfig,
    log: Arc<KafkaLog>,
}

/// A log of its own, under a prefix that no other test has.
async fn make() -> Option<Kafka> {
    let config = config()?;
    let log = KafkaLog::connect(config.clone()).unwrap();
    log.create_topics().await.unwrap();
    Some(Kafka { config, log })
}

fn config() -> Option<KafkaConfig> {
    let Ok(brokers) = std::env::var("TEAMLOG_TEST_KAFKA") else {
        eprintln!("left out: TEAMLOG_TEST_KAFKA is not set");
        return None;
    };
    Some(KafkaConfig {
        brokers,
        prefix: format!("test-{}.", uuid::Uuid::now_v7().simple()),
        partitions: PARTITIONS,
        queue_records_max: QUEUE_RECORDS_MAX,
        ..KafkaConfig::default()
    })
}

#[async_trait]
impl Subject for Kafka {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }

    async fn restart(&mut self) {
        self.log.close().await;
        self.log = KafkaLog::connect(self.config.clone()).unwrap();
    }

    async fn replace(&mut self) {
        delete_topics(&self.config).await;
        self.restart().await;
        // The brokers still know a deleted topic for a moment.
        let since = Instant::now();
        let events = TopicPartition::events(Partition(0));
        while self.log.create_topics().await.is_err() || self.log.end(events).await != Ok(Offset::ZERO) {
            assert!(since.elapsed() < Duration::from_secs(30), "the topics are not made anew");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn delete_topics(config: &KafkaConfig) {
    let mut client = ClientConfig::new();
    let admin: AdminClient<_> = client.set("bootstrap.servers", &config.brokers).create().unwrap();
    let names = Topic::ALL.map(|topic| format!("{}{topic}", config.prefix));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for deleted in admin.delete_topics(&names, &AdminOptions::new()).await.unwrap() {
        deleted.unwrap();
    }
}

teamlog_log::conformance!(make);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_topics_again_checks_them() {
    let Some(subject) = make().await else { return };
    subject.log.create_topics().await.unwrap();
    let other = KafkaLog::connect(KafkaConfig { partitions: PARTITIONS + 1, ..subject.config.clone() }).unwrap();
    assert!(matches!(other.create_topics().await, Err(LogError::Topics(_))));
    let other =
        KafkaLog::connect(KafkaConfig { replication: 99, prefix: "test-none.".into(), ..subject.config }).unwrap();
    assert!(matches!(other.create_topics().await, Err(LogError::Topics(_))));
    assert!(matches!(other.partitions(Topic::Events).await, Err(LogError::NoTopic(_))));
}

/// With no broker at the address, everything starts, and every operation fails in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_broker_is_unavailable() {
    let config = KafkaConfig {
        brokers: "127.0.0.1:1".into(),
        request_timeout_ms: 300,
        delivery_timeout_ms: 1_000,
        ..KafkaConfig::default()
    };
    let log = KafkaLog::connect(config).unwrap();
    let nowhere = TopicPartition::events(Partition(0));
    assert!(matches!(log.partitions(Topic::Events).await, Err(LogError::Unavailable(_))));
    assert!(matches!(log.end(nowhere).await, Err(LogError::Unavailable(_))));
    assert!(matches!(log.reader(vec![(nowhere, Offset::ZERO)]).await.err(), Some(LogError::Unavailable(_))));
    let created = log.create_topics().await;
    assert!(matches!(created, Err(LogError::Unavailable(_))), "{created:?}");
    // Not "failed": the record may have been sent.
    let record = NewRecord { key: None, value: None, stamp: Stamp::Absent, writer: None, traceparent: None };
    let appended = log.append(nowhere, vec![record]).await;
    assert!(matches!(appended[..], [Appended::Unknown(LogError::Unavailable(_))]), "{appended:?}");
}
