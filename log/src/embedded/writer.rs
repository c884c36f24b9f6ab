//! The task that writes: all queued records go into one transaction, many rows a statement, with one fsync.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::time::Instant;

use super::compact::Compaction;
use super::file;
use super::published::Published;
use super::queue::{Job, Outcome, Queue};
use crate::{LogError, NewRecord, Offset, Record, TopicPartition};

/// Records after which a transaction takes no more, so that the caller of the first does not wait for the bytes of the
/// last.
const COMMIT_RECORDS_MAX: usize = 4096;
/// Bytes after which a transaction takes no more.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// Rows of the statements, largest first. Few different sizes, so that each is prepared once; the largest makes the
/// cost of a statement (about 55 us through the driver, however many rows) negligible.
const STATEMENT_ROWS: [usize; 5] = [128, 64, 16, 4, 1];

/// Under load, compaction gets one bounded step this often.
const COMPACTION_PAUSE: Duration = Duration::from_millis(50);

/// The wait before a file that could not be opened is tried again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Writer {
    path: PathBuf,
    conn: Option<SqliteConnection>,
    queue: Arc<Queue>,
    published: Arc<Published>,
    compaction: Compaction,
    inserts: Vec<(usize, Arc<str>)>,
}

/// The step at which a transaction failed.
enum Broken {
    /// Before its commit: none of its records is, or ever will be, in the file.
    Before(LogError),
    /// In its commit: the write-ahead log may hold all of it, and then the next opening finds it.
    Commit(LogError),
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        conn: SqliteConnection,
        queue: Arc<Queue>,
        published: Arc<Published>,
        compaction: Compaction,
    ) -> Writer {
        let inserts = STATEMENT_ROWS
            .iter()
            .map(|rows| {
                let values = vec!["(?,?,?,?,?,?,?)"; *rows].join(",");
                let sql = format!(
                    "INSERT INTO records (topic, partition, offset, timestamp_ms, key, headers, value) VALUES {values}"
                );
                (*rows, Arc::from(sql))
            })
            .collect();
        Writer { path, conn: Some(conn), queue, published, compaction, inserts }
    }

    /// Writes until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        let mut stepped = Instant::now();
        loop {
            let wake = self.queue.wake.notified();
            let jobs = self.queue.take(COMMIT_RECORDS_MAX, COMMIT_BYTES_MAX);
            let idle = jobs.is_empty();
            if idle && self.queue.closed() {
                break;
            }
            if idle && !self.compaction.pending() {
                tokio::select! {
                    () = wake => {}
                    () = tokio::time::sleep_until(self.compaction.next_round()) => self.compaction.begin(&self.published),
                }
                continue;
            }
            drop(wake);
            if !idle {
                self.write(jobs).await;
                metrics::gauge!("teamlog_log_queue_records", "engine" => "embedded").set(self.queue.depth() as f64);
            }
            if idle || stepped.elapsed() >= COMPACTION_PAUSE {
                self.compact().await;
                stepped = Instant::now();
            }
        }
        if let Some(conn) = self.conn.take()
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "closing the log's file");
        }
        self.published.close();
    }

    async fn write(&mut self, jobs: Vec<Job>) {
        if self.conn.is_none()
            && let Err(error) = self.reopen().await
        {
            self.settle(jobs, |_| Outcome::Failed(error.clone()));
            tokio::time::sleep(REOPEN_PAUSE).await;
            return;
        }
        let Some(conn) = self.conn.as_mut() else { return };
        let mut ends = BTreeMap::new();
        let firsts: Vec<Offset> = jobs
            .iter()
            .map(|job| {
                let end = ends.entry(job.to).or_insert_with(|| self.published.end(job.to));
                let first = *end;
                end.0 += job.records.len() as u64;
                first
            })
            .collect();
        let timestamp_ms = now_ms();
        match commit(conn, &self.inserts, &jobs, &firsts, timestamp_ms).await {
            Ok(()) => {
                for (job, first) in jobs.iter().zip(&firsts) {
                    self.published.keep(job.to, landed(&job.records, *first, timestamp_ms));
                }
                for (of, end) in ends {
                    self.published.set_end(of, end);
                }
                self.published.publish();
                let mut firsts = firsts.into_iter();
                self.settle(jobs, |_| Outcome::At(firsts.next().unwrap_or_default()));
            }
            Err(broken) => {
                // Dropping the connection rolls back an open transaction; the next connection reads the ends from the file.
                self.conn = None;
                self.settle(jobs, |_| match &broken {
                    Broken::Before(error) => Outcome::Failed(error.clone()),
                    Broken::Commit(error) => Outcome::Unknown(error.clone()),
                });
            }
        }
    }

    fn settle(&self, jobs: Vec<Job>, mut outcome: impl FnMut(&Job) -> Outcome) {
        for job in jobs {
            let outcome = outcome(&job);
            self.queue.release(job.records.len(), job.bytes);
            // The caller may have dropped its future.
            let _ = job.reply.send(outcome);
        }
    }

    /// Opens the file again after a failure, and reads the ends from it: a commit that failed may have landed.
    async fn reopen(&mut self) -> Result<(), LogError> {
        let mut conn = SqliteConnection::connect_with(&file::options(&self.path, false)).await.map_err(file::failed)?;
        for of in self.published.all() {
            let end = file::end(&mut conn, of).await?;
            if end != self.published.end(of) {
                self.published.forget(of);
                self.published.set_end(of, end);
            }
        }
        self.published.publish();
        self.conn = Some(conn);
        Ok(())
    }

    async fn compact(&mut self) {
        if self.compaction.next_round() <= Instant::now() {
            self.compaction.begin(&self.published);
        }
        if let Some(conn) = self.conn.as_mut()
            && let Err(error) = self.compaction.step(conn).await
        {
            tracing::warn!(%error, "compacting the log; it goes on at the next round");
            self.compaction.give_up();
            self.conn = None;
        } else if self.conn.is_none() {
            self.compaction.give_up();
        }
    }
}

async fn commit(
    conn: &mut SqliteConnection,
    inserts: &[(usize, Arc<str>)],
    jobs: &[Job],
    firsts: &[Offset],
    timestamp_ms: i64,
) -> Result<(), Broken> {
    let before = |error| Broken::Before(file::failed(error));
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await.map_err(before)?;
    let rows: Vec<(TopicPartition, Offset, &NewRecord)> = jobs
        .iter()
        .zip(firsts)
        .flat_map(|(job, first)| (first.0..).zip(&job.records).map(|(offset, record)| (job.to, Offset(offset), record)))
        .collect();
    let mut rest = rows.as_slice();
    for (size, sql) in inserts {
        while let Some((chunk, behind)) = rest.split_at_checked(*size) {
            let mut statement = sqlx::query::<sqlx::Sqlite>(AssertSqlSafe(Arc::clone(sql)));
            for row in chunk {
                statement = bind(statement, row, timestamp_ms);
            }
            statement.execute(&mut *conn).await.map_err(before)?;
            rest = behind;
        }
    }
    sqlx::query("COMMIT").execute(&mut *conn).await.map_err(|error| Broken::Commit(file::failed(error)))?;
    Ok(())
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

fn bind<'q>(
    statement: Statement<'q>,
    (to, offset, record): &(TopicPartition, Offset, &'q NewRecord),
    timestamp_ms: i64,
) -> Statement<'q> {
    statement
        .bind(to.topic.code())
        .bind(i64::from(to.partition.0))
        .bind(file::to_sql(*offset))
        .bind(timestamp_ms)
        .bind(record.key.as_deref())
        .bind(file::join_headers(record))
        .bind(record.value.as_deref())
}

fn landed(records: &[NewRecord], first: Offset, timestamp_ms: i64) -> Vec<Record> {
    (first.0..)
        .zip(records)
        .map(|(offset, record)| Record {
            offset: Offset(offset),
            key: record.key.clone(),
            value: record.value.clone(),
            stamp: record.stamp,
            timestamp_ms,
        })
        .collect()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
