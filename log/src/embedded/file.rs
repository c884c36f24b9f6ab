//! The SQLite file: its tables, its settings, and the codecs of its columns.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};

use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use crate::{LogError, NewRecord, Offset, Record, Stamp, Topic, TopicPartition};

/// The version of the tables below. A file of another version is refused.
const FORMAT: i64 = 1;

/// How long a statement waits for another process's lock: that of another writer, or of a closing reader's checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The condition of the indexes below, made from the list of topics; the names of the indexes are made from it. Queries
/// that use an index repeat the condition word for word, or SQLite does not use the index.
pub(super) static COMPACTED: LazyLock<String> = LazyLock::new(|| format!("topic IN ({})", compacted_codes(", ")));
/// The name of the index by key. In a file of a program with fewer compacted topics it is another one.
pub(super) static BY_KEY: LazyLock<String> = LazyLock::new(|| format!("by_key_{}", compacted_codes("_")));
/// The name of the index of tombstones by time.
pub(super) static TOMBSTONES: LazyLock<String> = LazyLock::new(|| format!("tombstones_{}", compacted_codes("_")));

fn compacted_codes(between: &str) -> String {
    let compacted = Topic::ALL.into_iter().filter(|topic| topic.compacted());
    compacted.map(|topic| topic.code().to_string()).collect::<Vec<_>>().join(between)
}

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS records (topic INTEGER NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
     timestamp_ms INTEGER NOT NULL, key BLOB, headers BLOB NOT NULL, value BLOB,
     PRIMARY KEY (topic, partition, offset)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS compactions (topic INTEGER NOT NULL, partition INTEGER NOT NULL,
     clean_to INTEGER NOT NULL, PRIMARY KEY (topic, partition)) STRICT, WITHOUT ROWID",
];

pub(super) fn options(path: &Path, read_only: bool) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .thread_name(|number| format!("log-file-{number}"))
        .disable_statement_logging();
    if read_only {
        return options.read_only(true);
    }
    options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
}

/// Creates the tables if the file is new. Returns the number of partitions, which is fixed when the file is created.
pub(super) async fn prepare(conn: &mut SqliteConnection, partitions: u32) -> Result<u32, LogError> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    for table in TABLES {
        sqlx::query(*table).execute(&mut *tx).await.map_err(failed)?;
    }
    prepare_indexes(&mut tx).await?;
    for (name, value) in [("format", FORMAT), ("partitions", i64::from(partitions))] {
        sqlx::query("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)")
            .bind(name)
            .bind(value)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    meta(conn).await
}

/// Creates the indexes of compacted topics, and drops those of a program with fewer compacted topics.
async fn prepare_indexes(conn: &mut SqliteConnection) -> Result<(), LogError> {
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'records' AND sql IS NOT NULL",
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(failed)?;
    for other in there.iter().filter(|name| **name != *BY_KEY && **name != *TOMBSTONES) {
        sqlx::query(AssertSqlSafe(format!("DROP INDEX {other}"))).execute(&mut *conn).await.map_err(failed)?;
    }
    let (by_key, tombstones, compacted) = (&*BY_KEY, &*TOMBSTONES, &*COMPACTED);
    for index in [
        format!("CREATE INDEX IF NOT EXISTS {by_key} ON records (topic, partition, key, offset) WHERE {compacted}"),
        format!(
            "CREATE INDEX IF NOT EXISTS {tombstones} ON records (topic, partition, timestamp_ms)
             WHERE {compacted} AND value IS NULL"
        ),
    ] {
        sqlx::query(AssertSqlSafe(index)).execute(&mut *conn).await.map_err(failed)?;
    }
    Ok(())
}

/// The number of partitions of an existing file.
pub(super) async fn meta(conn: &mut SqliteConnection) -> Result<u32, LogError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT name, value FROM meta").fetch_all(conn).await.map_err(failed)?;
    let value = |wanted: &str| rows.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    match value("format") {
        Some(FORMAT) => {}
        other => return Err(LogError::Fatal(format!("the file has format {other:?}, this program knows {FORMAT}"))),
    }
    value("partitions")
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| LogError::Fatal("the file has no number of partitions".into()))
}

/// The first offset not yet written. Compaction keeps a partition's newest record, so the end never goes back.
pub(super) async fn end(conn: &mut SqliteConnection, of: TopicPartition) -> Result<Offset, LogError> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(offset) FROM records WHERE topic = ? AND partition = ?")
        .bind(of.topic.code())
        .bind(i64::from(of.partition.0))
        .fetch_one(conn)
        .await
        .map_err(failed)?;
    Ok(newest.map_or(Offset::ZERO, |newest| from_sql(newest).next()))
}

/// Reads the records of `[from, end)`, as many as a batch takes. Fewer than that are all that there are.
pub(super) async fn read(
    conn: &mut SqliteConnection,
    of: TopicPartition,
    from: Offset,
    end: Offset,
) -> Result<Vec<Record>, LogError> {
    let mut rows = sqlx::query(
        "SELECT offset, timestamp_ms, key, headers, value FROM records
         WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ? ORDER BY offset LIMIT ?",
    )
    .bind(of.topic.code())
    .bind(i64::from(of.partition.0))
    .bind(to_sql(from))
    .bind(to_sql(end))
    .bind(i64::try_from(BATCH_RECORDS_MAX).unwrap_or(i64::MAX))
    .fetch(conn);
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let record = decode(&row, of)?;
        bytes += record.bytes();
        records.push(record);
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
    }
    Ok(records)
}

fn decode(row: &SqliteRow, of: TopicPartition) -> Result<Record, LogError> {
    let offset = from_sql(row.try_get(0).map_err(failed)?);
    let headers: &[u8] = row.try_get(3).map_err(failed)?;
    let headers =
        split_headers(headers).ok_or_else(|| LogError::Fatal(format!("broken headers at {of}, offset {offset}")))?;
    Ok(Record {
        offset,
        timestamp_ms: row.try_get(1).map_err(failed)?,
        key: row.try_get::<Option<Vec<u8>>, _>(2).map_err(failed)?.map(Bytes::from),
        stamp: Stamp::from_headers(headers.into_iter()),
        value: row.try_get::<Option<Vec<u8>>, _>(4).map_err(failed)?.map(Bytes::from),
    })
}

/// Encodes the text headers of a record, which are those on Kafka. Each is: length of the name (u8), name, length of the
/// value (u32, big endian), value.
pub(super) fn join_headers(record: &NewRecord) -> Vec<u8> {
    let mut joined = Vec::with_capacity(96);
    let mut push = |name: &str, value: &[u8]| {
        joined.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        joined.extend_from_slice(name.as_bytes());
        joined.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        joined.extend_from_slice(value);
    };
    for (name, value) in record.stamp.to_headers() {
        push(name, value.as_bytes());
    }
    for (name, value) in [("writer", &record.writer), ("traceparent", &record.traceparent)] {
        if let Some(value) = value {
            push(name, value);
        }
    }
    joined
}

fn split_headers(mut joined: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut headers = Vec::with_capacity(4);
    while let Some((length, rest)) = joined.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        headers.push((std::str::from_utf8(name).ok()?, value));
        joined = rest;
    }
    Some(headers)
}

/// An offset as an SQLite integer. An offset too large for it is beyond every end.
pub(super) fn to_sql(offset: Offset) -> i64 {
    i64::try_from(offset.0).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(offset: i64) -> Offset {
    Offset(offset.cast_unsigned())
}

/// Maps an error of the driver: a lock or a pool that took too long may pass; with any other error the file, the disk or
/// this program is broken.
pub(super) fn failed(error: sqlx::Error) -> LogError {
    let passes = match &error {
        sqlx::Error::PoolTimedOut => true,
        // The low byte is the primary code: SQLITE_BUSY and SQLITE_LOCKED.
        sqlx::Error::Database(error) => {
            error.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
        }
        _ => false,
    };
    if passes { LogError::Unavailable(error.to_string()) } else { LogError::Fatal(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive() {
        let record = NewRecord {
            key: None,
            value: None,
            stamp: Stamp::Seq { epoch: 3, seq: u64::MAX },
            writer: Some(Bytes::from_static(b"node-1")),
            traceparent: Some(Bytes::from_static(b"00-aa-bb-01")),
        };
        let joined = join_headers(&record);
        let headers = split_headers(&joined).unwrap();
        assert_eq!(Stamp::from_headers(headers.iter().copied()), record.stamp);
        assert!(headers.contains(&("writer", b"node-1")));
        assert!(headers.contains(&("traceparent", b"00-aa-bb-01")));
        for cut in 1..joined.len() {
            let whole = split_headers(&joined[..cut]).is_some_and(|some| some.len() == headers.len());
            assert!(!whole, "cut at {cut}");
        }
    }
    #[tokio::test]
    async fn a_file_of_a_program_that_knew_fewer_topics_gets_the_new_indexes() {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        assert_eq!(prepare(&mut conn, 3).await.unwrap(), 3);
        for old in [
            "CREATE INDEX records_by_key ON records (topic, partition, key, offset) WHERE topic IN (2, 3, 4)",
            "CREATE INDEX tombstones ON records (topic, partition, timestamp_ms) WHERE topic IN (2, 3, 4) AND value IS NULL",
        ] {
            sqlx::query(old).execute(&mut conn).await.unwrap();
        }
        assert_eq!(prepare(&mut conn, 16).await.unwrap(), 3, "the number of partitions never changes");
        let there: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
                .fetch_all(&mut conn)
                .await
                .unwrap();
        assert_eq!(there, [BY_KEY.as_str(), TOMBSTONES.as_str()]);
    }
}
