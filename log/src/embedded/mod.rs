//! The embedded engine: one SQLite file, one writer, group commit.
//!
//! A record is durable once its transaction is committed (`synchronous=FULL`), and readers get it only then, so no reader
//! ever sees a record that a crash could take back. One process writes; any number of others may read at the same time.

mod compact;
mod file;
mod published;
mod queue;
mod reader;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::task::JoinHandle;

use self::compact::Compaction;
use self::published::Published;
use self::queue::{Outcome, Queue};
use self::reader::FileReader;
use self::writer::Writer;
use crate::limits::RECORD_BYTES_MAX;
use crate::{Appended, Log, LogError, NewRecord, Offset, Reader, Topic, TopicPartition};

/// How often a log that is open for reading only looks for records that another process has written.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Connections for reading, each with a thread of its own. A read holds one for a batch.
const READ_CONNECTIONS: u32 = 4;

/// How long a read waits for a connection before it fails with [`LogError::Unavailable`].
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the embedded engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// Partitions of the partitioned topics of a file that is created now. An existing file keeps its number.
    pub partitions: u32,
    /// Records that may wait or be in writing; past that an append fails with `QueueFull`.
    pub queue_records_max: usize,
    /// Bytes that may wait or be in writing; past that an append fails with `QueueFull`.
    pub queue_bytes_max: usize,
    /// Time between the beginnings of two rounds of compaction, in milliseconds.
    pub compact_every_ms: u64,
    /// How long a tombstone is kept, in milliseconds, so that readers that lag see it.
    pub tombstones_kept_ms: u64,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        EmbeddedConfig {
            partitions: 16,
            queue_records_max: 32_768,
            queue_bytes_max: 64 << 20,
            compact_every_ms: 30_000,
            tombstones_kept_ms: 24 * 3_600_000,
        }
    }
}

/// The embedded engine.
pub struct EmbeddedLog {
    queue: Arc<Queue>,
    published: Arc<Published>,
    pool: SqlitePool,
    /// The writer; in a log for reading only, the task that looks for new records.
    task: Mutex<Option<JoinHandle<()>>>,
    read_only: bool,
}

impl EmbeddedLog {
    /// Opens the file for writing, and creates it if it does not exist.
    ///
    /// The caller makes sure that no other process has it open for writing.
    ///
    /// # Errors
    /// [`LogError::Fatal`] if the file cannot be opened, or is a newer program's.
    pub async fn open(path: &Path, config: EmbeddedConfig) -> Result<Arc<EmbeddedLog>, LogError> {
        if config.partitions == 0 {
            return Err(LogError::Topics("a log has at least one partition".into()));
        }
        let mut conn = SqliteConnection::connect_with(&file::options(path, false)).await.map_err(file::failed)?;
        let partitions = file::prepare(&mut conn, config.partitions).await?;
        let published = Arc::new(ends(&mut conn, partitions).await?);
        let queue = Arc::new(Queue::new(config.queue_records_max, config.queue_bytes_max));
        let compaction = Compaction::new(
            Duration::from_millis(config.compact_every_ms.max(1)),
            Duration::from_millis(config.tombstones_kept_ms),
        );
        let writer = Writer::new(path.to_owned(), conn, Arc::clone(&queue), Arc::clone(&published), compaction);
        // A panic of the writer drops every caller's reply, which makes their outcome unknown.
        let task = tokio::spawn(writer.run());
        Ok(Arc::new(EmbeddedLog { queue, published, pool: pool(path), task: Mutex::new(Some(task)), read_only: false }))
    }

    /// Opens an existing file for reading, whether a process writes to it or not. Every append fails.
    ///
    /// # Errors
    /// [`LogError::Fatal`] if there is no such file, or it is a newer program's.
    pub async fn open_read_only(path: &Path) -> Result<Arc<EmbeddedLog>, LogError> {
        let mut conn = SqliteConnection::connect_with(&file::options(path, true)).await.map_err(file::failed)?;
        let partitions = file::meta(&mut conn).await?;
        let published = Arc::new(ends(&mut conn, partitions).await?);
        let queue = Arc::new(Queue::new(0, 0));
        let task = tokio::spawn(poll(conn, Arc::clone(&queue), Arc::clone(&published)));
        Ok(Arc::new(EmbeddedLog { queue, published, pool: pool(path), task: Mutex::new(Some(task)), read_only: true }))
    }

    /// Rejects new records, writes those that wait, and closes the file. Readers end with [`LogError::Fatal`].
    pub async fn close(&self) {
        self.queue.close();
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the log's writer had died");
        }
        self.pool.close().await;
    }

    /// Splits a call's records into the good ones, and for each input its error or none.
    fn refuse(&self, to: TopicPartition, records: Vec<NewRecord>) -> (Vec<NewRecord>, Vec<Option<LogError>>) {
        let whole = if self.read_only {
            Err(LogError::Fatal("it is open for reading only".into()))
        } else {
            self.published.check(to)
        };
        let mut good = Vec::with_capacity(records.len());
        let errors = records
            .into_iter()
            .map(|record| {
                let bytes = record.key.as_ref().map_or(0, |key| key.len())
                    + record.value.as_ref().map_or(0, |value| value.len());
                match &whole {
                    Err(error) => Some(error.clone()),
                    Ok(()) if bytes > RECORD_BYTES_MAX => Some(LogError::TooLarge { bytes }),
                    Ok(()) => {
                        good.push(record);
                        None
                    }
                }
            })
            .collect();
        (good, errors)
    }
}

impl Drop for EmbeddedLog {
    /// Closes the queue. The writer drains it and ends.
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        Ok(self.published.partitions(topic))
    }

    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>> {
        let (good, errors) = self.refuse(to, records);
        let pushed = if good.is_empty() { None } else { Some(self.queue.push(to, good)) };
        Box::pin(async move {
            let (taken, outcome) = match pushed {
                None => (0, Outcome::Failed(LogError::QueueFull)),
                Some(Err(error)) => (usize::MAX, Outcome::Failed(error)),
                Some(Ok((0, _))) => (0, Outcome::Failed(LogError::QueueFull)),
                Some(Ok((taken, outcome))) => {
                    let died = |_| Outcome::Unknown(LogError::Fatal("the log's writer died".into()));
                    (taken, outcome.await.unwrap_or_else(died))
                }
            };
            let mut index = 0;
            let appended = errors.into_iter().map(|error| match error {
                Some(error) => Appended::Failed(error),
                None => {
                    index += 1;
                    if index > taken { Appended::Failed(LogError::QueueFull) } else { nth(&outcome, index - 1) }
                }
            });
            appended.collect()
        })
    }

    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        self.published.check(of)?;
        if !self.read_only {
            return Ok(self.published.end(of));
        }
        let mut conn = self.pool.acquire().await.map_err(file::failed)?;
        file::end(&mut conn, of).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        for (of, wanted) in &from {
            let end = self.end(*of).await?;
            if *wanted > end {
                return Err(LogError::BeyondEnd { source_partition: *of, wanted: *wanted, end });
            }
        }
        Ok(Box::new(FileReader::new(Arc::clone(&self.published), self.pool.clone(), from)?))
    }
}

/// The outcome of the record number `index` of a job.
fn nth(outcome: &Outcome, index: usize) -> Appended {
    match outcome {
        Outcome::At(first) => Appended::At(Offset(first.0 + index as u64)),
        Outcome::Failed(error) => Appended::Failed(error.clone()),
        Outcome::Unknown(error) => Appended::Unknown(error.clone()),
    }
}

fn pool(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READ_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(file::options(path, true))
}

async fn ends(conn: &mut SqliteConnection, partitions: u32) -> Result<Published, LogError> {
    let published = Published::new(partitions);
    for of in published.all() {
        published.set_end(of, file::end(conn, of).await?);
    }
    Ok(published)
}

/// Looks for records that another process has written, until the log is closed. A failure is logged once and retried.
async fn poll(mut conn: SqliteConnection, queue: Arc<Queue>, published: Arc<Published>) {
    let mut failing = false;
    let mut version = None;
    while !queue.closed() {
        tokio::select! {
            () = queue.wake.notified() => continue,
            () = tokio::time::sleep(POLL_EVERY) => {}
        }
        match poll_once(&mut conn, &published, &mut version).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "looking for new records in the log's file");
            }
            Err(_) => {}
        }
    }
    published.close();
}

async fn poll_once(
    conn: &mut SqliteConnection,
    published: &Published,
    version: &mut Option<i64>,
) -> Result<(), LogError> {
    // Changes with every commit of another connection, and costs nothing to read.
    let now: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *conn).await.map_err(file::failed)?;
    if *version == Some(now) {
        return Ok(());
    }
    for of in published.all() {
        published.set_end(of, file::end(conn, of).await?);
    }
    *version = Some(now);
    published.publish();
    Ok(())
}
