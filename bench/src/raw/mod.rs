//! The limit that the log sets to the server: appends of the same bytes, without the server's decisions.

mod file;
mod kafka;
mod record;

use crate::{BenchError, Common, load::Worker};

use self::{file::RawFile, kafka::RawKafka, record::record};

/// A log without a server above it.
pub(crate) enum RawLog {
    File(RawFile),
    Kafka(RawKafka),
}

/// A worker that appends one record at a time.
pub(crate) enum Appender {
    File(file::Appender),
    Kafka(kafka::Appender),
}

impl RawLog {
    /// Opens the log of the engine that the server uses.
    pub(crate) async fn open(common: &Common) -> Result<RawLog, BenchError> {
        match &common.brokers {
            Some(brokers) => Ok(RawLog::Kafka(RawKafka::open(brokers, common.replication).await?)),
            None => Ok(RawLog::File(RawFile::open(&common.scratch).await?)),
        }
    }

    /// Returns `count` appenders of the record that a post of `text` makes.
    pub(crate) async fn appenders(&mut self, count: usize, text: &str) -> Result<Vec<Appender>, BenchError> {
        let record = record(text)?;
        match self {
            RawLog::File(file) => Ok(file.appenders(count, &record).into_iter().map(Appender::File).collect()),
            RawLog::Kafka(kafka) => {
                Ok(kafka.appenders(count, &record).await?.into_iter().map(Appender::Kafka).collect())
            }
        }
    }

    /// Closes the log and deletes it.
    pub(crate) async fn close(self) -> Result<(), BenchError> {
        match self {
            RawLog::File(file) => file.close().await,
            RawLog::Kafka(kafka) => kafka.close().await,
        }
    }
}

impl Worker for Appender {
    async fn once(&mut self) -> Result<(), BenchError> {
        match self {
            Appender::File(appender) => appender.once().await,
            Appender::Kafka(appender) => appender.once().await,
        }
    }
}
