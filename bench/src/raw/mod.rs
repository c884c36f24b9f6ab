//! What the log below the server can do at best: appends of the same bytes, with nobody who decides anything.

mod file;
mod kafka;
mod record;

use crate::{BenchError, Common, load::Worker};

use self::{file::RawFile, kafka::RawKafka, record::record};

/// A log with nothing above it.
pub(crate) enum RawLog {
    File(RawFile),
    Kafka(RawKafka),
}

/// One of those who append, one record at a time.
pub(crate) enum Appender {
    File(file::Appender),
    Kafka(kafka::Appender),
}

impl RawLog {
    /// Opens the one that a server of this kind stands on.
    pub(crate) async fn open(common: &Common) -> Result<RawLog, BenchError> {
        match &common.brokers {
            Some(brokers) => Ok(RawLog::Kafka(RawKafka::open(brokers, common.replication).await?)),
            None => Ok(RawLog::File(RawFile::open(&common.scratch).await?)),
        }
    }

    /// So many who append records as a post of such a text makes one.
    pub(crate) async fn appenders(&mut self, count: usize, text: &str) -> Result<Vec<Appender>, BenchError> {
        let record = record(text)?;
        match self {
            RawLog::File(file) => Ok(file.appenders(count, &record).into_iter().map(Appender::File).collect()),
            RawLog::Kafka(kafka) => {
                Ok(kafka.appenders(count, &record).await?.into_iter().map(Appender::Kafka).collect())
            }
        }
    }

    /// Takes away what it made.
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
