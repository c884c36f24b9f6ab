//! Compaction: only the newest record of a key stays; of a deleted key, its tombstone stays for a while.
//!
//! Compaction runs in the writer's task between two commits, one bounded step at a time, so that it never contends for
//! the file's write lock. The offsets of removed records become holes.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::time::Instant;

use super::file::{BY_KEY, COMPACTED, TOMBSTONES, failed, from_sql, to_sql};
use super::published::Published;
use crate::{LogError, Offset, TopicPartition};

/// Records that one step looks at, and tombstones that it removes.
const STEP_RECORDS: u64 = 256;

/// The state of the rounds. The offset up to which a partition is clean is stored in the file, in the transaction that
/// deletes the records.
pub(super) struct Compaction {
    every: Duration,
    tombstones_kept: Duration,
    next_round: Instant,
    waiting: VecDeque<Range>,
}

/// The rest of a round in one partition.
struct Range {
    of: TopicPartition,
    /// The end when the round began.
    to: Offset,
}

impl Compaction {
    pub(super) fn new(every: Duration, tombstones_kept: Duration) -> Compaction {
        Compaction { every, tombstones_kept, next_round: Instant::now() + every, waiting: VecDeque::new() }
    }

    pub(super) fn next_round(&self) -> Instant {
        self.next_round
    }

    pub(super) fn pending(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins a round over every compacted partition, unless a round is still in progress.
    pub(super) fn begin(&mut self, published: &Published) {
        self.next_round = Instant::now() + self.every;
        if self.waiting.is_empty() {
            let compacted = published.all().filter(|of| of.topic.compacted());
            self.waiting = compacted.map(|of| Range { of, to: published.end(of) }).collect();
        }
    }

    /// Leaves the rest to the next round.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }

    /// Runs one bounded transaction of the round.
    pub(super) async fn step(&mut self, conn: &mut SqliteConnection) -> Result<(), LogError> {
        while let Some(range) = self.waiting.front() {
            let from = clean_to(conn, range.of).await?;
            if from < range.to {
                let to = range.to.min(next_step(conn, range.of, from).await?);
                return drop_superseded(conn, range.of, from, to).await;
            }
            let dropped = drop_tombstones(conn, range.of, range.to, self.tombstones_kept).await?;
            if dropped < STEP_RECORDS {
                self.waiting.pop_front();
            }
            if dropped > 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

async fn clean_to(conn: &mut SqliteConnection, of: TopicPartition) -> Result<Offset, LogError> {
    let clean: Option<i64> = sqlx::query_scalar("SELECT clean_to FROM compactions WHERE topic = ? AND partition = ?")
        .bind(of.topic.code())
        .bind(i64::from(of.partition.0))
        .fetch_optional(conn)
        .await
        .map_err(failed)?;
    Ok(clean.map_or(Offset::ZERO, from_sql))
}

/// The end of a step that begins at `from` and covers at most [`STEP_RECORDS`] existing records, however wide the holes.
async fn next_step(conn: &mut SqliteConnection, of: TopicPartition, from: Offset) -> Result<Offset, LogError> {
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT max(offset) FROM (SELECT offset FROM records WHERE topic = ? AND partition = ? AND offset >= ?
         ORDER BY offset LIMIT ?)",
    )
    .bind(of.topic.code())
    .bind(i64::from(of.partition.0))
    .bind(to_sql(from))
    .bind(to_sql(Offset(STEP_RECORDS)))
    .fetch_one(conn)
    .await
    .map_err(failed)?;
    Ok(last.map_or(from, from_sql).next())
}

/// Deletes every record that is older than a record of its key in `[from, to)`. Below `from` all is clean, so a key has
/// at most one record there, and one step deletes at most twice the records that it looks at.
async fn drop_superseded(
    conn: &mut SqliteConnection,
    of: TopicPartition,
    from: Offset,
    to: Offset,
) -> Result<(), LogError> {
    let (by_key, compacted) = (&*BY_KEY, &*COMPACTED);
    let sql = format!(
        "DELETE FROM records WHERE topic = ?1 AND partition = ?2 AND offset IN (
           SELECT older.offset FROM
             (SELECT key, max(offset) AS newest FROM records
              WHERE topic = ?1 AND partition = ?2 AND offset >= ?3 AND offset < ?4 AND key IS NOT NULL GROUP BY key) AS new
             CROSS JOIN records AS older INDEXED BY {by_key}
             ON older.{compacted} AND older.topic = ?1 AND older.partition = ?2 AND older.key = new.key
                AND older.offset < new.newest)"
    );
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let (topic, partition) = (of.topic.code(), i64::from(of.partition.0));
    sqlx::query(AssertSqlSafe(sql))
        .bind(topic)
        .bind(partition)
        .bind(to_sql(from))
        .bind(to_sql(to))
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    sqlx::query(
        "INSERT INTO compactions (topic, partition, clean_to) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET clean_to = excluded.clean_to",
    )
    .bind(topic)
    .bind(partition)
    .bind(to_sql(to))
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    tx.commit().await.map_err(failed)
}

/// Deletes tombstones below `to` that are old enough, except the partition's newest record, from which its end is read.
async fn drop_tombstones(
    conn: &mut SqliteConnection,
    of: TopicPartition,
    to: Offset,
    kept: Duration,
) -> Result<u64, LogError> {
    let (tombstones, compacted) = (&*TOMBSTONES, &*COMPACTED);
    let sql = format!(
        "DELETE FROM records WHERE topic = ?1 AND partition = ?2 AND offset IN (
           SELECT offset FROM records INDEXED BY {tombstones}
           WHERE {compacted} AND value IS NULL AND topic = ?1 AND partition = ?2 AND timestamp_ms < ?3 AND offset < ?4 - 1
           LIMIT ?5)"
    );
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(kept);
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(of.topic.code())
        .bind(i64::from(of.partition.0))
        .bind(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        .bind(to_sql(to))
        .bind(to_sql(Offset(STEP_RECORDS)))
        .execute(conn)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected())
}
