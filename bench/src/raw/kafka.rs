//! A partition of a topic that the bench makes on the server's brokers. Each record is acknowledged by Kafka and read back.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use teamlog_log::{
    Appended, KafkaConfig, KafkaLog, Log, LogError, NewRecord, Offset, Partition, Stamp, Topic, TopicPartition,
};
use tokio::{sync::Notify, task::JoinHandle};
use uuid::Uuid;

use crate::BenchError;

/// The longest wait for an acknowledged record to be read back.
const WAIT_MAX: Duration = Duration::from_secs(30);
const SOURCE: TopicPartition = TopicPartition::events(Partition(0));

pub(crate) struct RawKafka {
    log: Arc<KafkaLog>,
    config: KafkaConfig,
    reader: Option<JoinHandle<()>>,
}

pub(crate) struct Appender {
    log: Arc<KafkaLog>,
    record: NewRecord,
    read_back: Arc<Notify>,
}

impl RawKafka {
    pub(super) async fn open(brokers: &str, replication: u32) -> Result<RawKafka, BenchError> {
        let prefix = format!("bench-{}.", Uuid::new_v4().simple());
        let brokers = brokers.to_owned();
        let config = KafkaConfig { brokers, prefix, partitions: 1, replication, ..KafkaConfig::default() };
        let log = KafkaLog::connect(config.clone())?;
        log.create_topics().await?;
        Ok(RawKafka { log, config, reader: None })
    }

    /// Returns appenders, each with a `seq` of its own that marks its records. Each has one record in flight at a time.
    pub(super) async fn appenders(&mut self, count: usize, record: &NewRecord) -> Result<Vec<Appender>, BenchError> {
        let end = self.log.end(SOURCE).await?;
        let waiting: Vec<Arc<Notify>> = (0..count).map(|_| Arc::default()).collect();
        let reader = tokio::spawn(read(self.log.reader(vec![(SOURCE, end)]).await?, waiting.clone()));
        if let Some(before) = self.reader.replace(reader) {
            before.abort();
        }
        let appenders = waiting.into_iter().zip(0..).map(|(read_back, seq)| {
            let record = NewRecord { stamp: Stamp::Seq { epoch: 1, seq }, ..record.clone() };
            Appender { log: self.log.clone(), record, read_back }
        });
        Ok(appenders.collect())
    }

    /// Deletes the topics that [`RawKafka::open`] created.
    pub(super) async fn close(self) -> Result<(), BenchError> {
        if let Some(reader) = self.reader {
            reader.abort();
        }
        self.log.close().await;
        let fatal = |why: &dyn std::error::Error| LogError::Fatal(format!("the raw log's topics stay: {why}"));
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.config.brokers);
        let admin: AdminClient<DefaultClientContext> = client.create().map_err(|why| fatal(&why))?;
        let names = Topic::ALL.map(|topic| format!("{}{}", self.config.prefix, topic.name()));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        admin.delete_topics(&names, &AdminOptions::new()).await.map_err(|why| fatal(&why))?;
        Ok(())
    }
}

impl Appender {
    pub(super) async fn once(&mut self) -> Result<(), BenchError> {
        let appended = self.log.append(SOURCE, vec![self.record.clone()]).await;
        match appended.into_iter().next() {
            Some(Appended::At(Offset(_))) => {}
            Some(Appended::Failed(why) | Appended::Unknown(why)) => return Err(why.into()),
            None => return Err(BenchError::Lost("the raw log's producer")),
        }
        let lost = |_| BenchError::Lost("the raw log's reader");
        tokio::time::timeout(WAIT_MAX, self.read_back.notified()).await.map_err(lost)
    }
}

async fn read(mut reader: Box<dyn teamlog_log::Reader>, waiting: Vec<Arc<Notify>>) {
    loop {
        match reader.next().await {
            Ok(batch) => {
                for record in batch.records {
                    if let Stamp::Seq { seq, .. } = record.stamp
                        && let Some(read_back) = usize::try_from(seq).ok().and_then(|seq| waiting.get(seq))
                    {
                        read_back.notify_one();
                    }
                }
            }
            Err(LogError::Unavailable(_)) => {}
            // The appenders find out by their own errors.
            Err(_) => return,
        }
    }
}
