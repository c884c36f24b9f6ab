//! A SQLite file, WAL, synchronous=FULL. One transaction takes all waiting records, with many rows a statement.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use teamlog_log::NewRecord;
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{BenchError, process::own_folder};

/// The most records of a transaction, and the rows of a statement: the numbers of the server's embedded log.
const COMMIT_RECORDS_MAX: usize = 4096;
const STATEMENT_ROWS: [usize; 5] = [128, 64, 16, 4, 1];

type Append = (Bytes, oneshot::Sender<()>);

pub(crate) struct RawFile {
    queue: mpsc::Sender<Append>,
    writer: JoinHandle<Result<(), BenchError>>,
    _folder: TempDir,
}

pub(crate) struct Appender {
    queue: mpsc::Sender<Append>,
    bytes: Bytes,
}

impl RawFile {
    pub(super) async fn open(scratch: &Path) -> Result<RawFile, BenchError> {
        let folder = own_folder(scratch)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("raw.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let mut file = SqliteConnection::connect_with(&options).await?;
        let table = "CREATE TABLE records (number INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT";
        sqlx::query(table).execute(&mut file).await?;
        let (queue, appends) = mpsc::channel(COMMIT_RECORDS_MAX);
        Ok(RawFile { queue, writer: tokio::spawn(write(file, appends)), _folder: folder })
    }

    pub(super) fn appenders(&self, count: usize, record: &NewRecord) -> Vec<Appender> {
        let bytes = joined(record);
        (0..count).map(|_| Appender { queue: self.queue.clone(), bytes: bytes.clone() }).collect()
    }

    pub(super) async fn close(self) -> Result<(), BenchError> {
        drop(self.queue);
        self.writer.await.map_err(|_| BenchError::Lost("the raw file's writer"))?
    }
}

impl Appender {
    pub(super) async fn once(&mut self) -> Result<(), BenchError> {
        let lost = BenchError::Lost("the raw file's writer");
        let (reply, durable) = oneshot::channel();
        if self.queue.send((self.bytes.clone(), reply)).await.is_err() {
            return Err(lost);
        }
        durable.await.map_err(|_| lost)
    }
}

/// Returns the headers, key, writer and value in one piece.
fn joined(record: &NewRecord) -> Bytes {
    let mut joined = Vec::new();
    for (name, value) in record.stamp.to_headers() {
        joined.extend_from_slice(name.as_bytes());
        joined.extend_from_slice(value.as_bytes());
    }
    for part in [&record.key, &record.writer, &record.value].into_iter().flatten() {
        joined.extend_from_slice(part);
    }
    joined.into()
}

async fn write(mut file: SqliteConnection, mut appends: mpsc::Receiver<Append>) -> Result<(), BenchError> {
    let inserts = STATEMENT_ROWS.map(|rows| {
        let sql = format!("INSERT INTO records (record) VALUES {}", vec!["(?)"; rows].join(","));
        (rows, Arc::<str>::from(sql))
    });
    let mut waiting = Vec::new();
    while appends.recv_many(&mut waiting, COMMIT_RECORDS_MAX).await > 0 {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut file).await?;
        let mut rest = waiting.as_slice();
        for (rows, sql) in &inserts {
            while let Some((some, behind)) = rest.split_at_checked(*rows) {
                let mut statement = sqlx::query::<sqlx::Sqlite>(AssertSqlSafe(sql.clone()));
                for (bytes, _) in some {
                    statement = statement.bind(&bytes[..]);
                }
                statement.execute(&mut file).await?;
                rest = behind;
            }
        }
        sqlx::query("COMMIT").execute(&mut file).await?;
        for (_, reply) in waiting.drain(..) {
            // The appender may have been aborted after the error of another.
            let _ = reply.send(());
        }
    }
    file.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_acknowledged_is_in_the_file() {
        let scratch = tempfile::tempdir().unwrap();
        let raw = RawFile::open(scratch.path()).await.unwrap();
        let mut appenders = raw.appenders(70, &super::super::record("hello").unwrap());
        let all = appenders.iter_mut().map(Appender::once);
        futures::future::try_join_all(all).await.unwrap();
        let path = raw._folder.path().join("raw.sqlite");
        let mut file = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        let rows: (i64, i64) =
            sqlx::query_as("SELECT count(*), min(length(record)) FROM records").fetch_one(&mut file).await.unwrap();
        assert_eq!(rows.0, 70);
        assert!(rows.1 > 100, "a record of {} bytes", rows.1);
        drop((appenders, file));
        raw.close().await.unwrap();
    }
}
