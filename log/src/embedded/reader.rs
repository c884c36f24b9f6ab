//! The reader of the embedded engine: the partitions' newest records from memory, older ones from the file, no polling.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tokio::sync::watch;

use super::file;
use super::published::Published;
use crate::{Batch, LogError, Offset, Reader, TopicPartition};

pub(super) struct FileReader {
    published: Arc<Published>,
    pool: SqlitePool,
    changed: watch::Receiver<u64>,
    /// The next offset of each partition.
    cursors: Vec<(TopicPartition, Offset)>,
    /// The index of the cursor to look at first, so that a busy partition does not starve the others.
    turn: usize,
}

impl FileReader {
    /// # Errors
    /// [`LogError::Fatal`] if the log is closed.
    pub(super) fn new(
        published: Arc<Published>,
        pool: SqlitePool,
        cursors: Vec<(TopicPartition, Offset)>,
    ) -> Result<FileReader, LogError> {
        let changed = published.watch().ok_or_else(closed)?;
        Ok(FileReader { published, pool, changed, cursors, turn: 0 })
    }

    /// Reads the next records that are published, if any. Cursors move in the poll that returns the records, so a dropped
    /// `next` loses nothing.
    async fn ready(&mut self) -> Result<Option<Batch>, LogError> {
        for step in 0..self.cursors.len() {
            let turn = (self.turn + step) % self.cursors.len();
            let (source, from) = self.cursors[turn];
            let end = self.published.end(source);
            if from >= end {
                continue;
            }
            let records = match self.published.recent(source, from, end) {
                Some(records) => records,
                None => {
                    let mut conn = self.pool.acquire().await.map_err(file::failed)?;
                    file::read(&mut conn, source, from, end).await?
                }
            };
            // No record at all: the rest up to the end is a hole that compaction left.
            self.cursors[turn].1 = records.last().map_or(end, |last| last.offset.next());
            self.turn = turn + 1;
            if !records.is_empty() {
                return Ok(Some(Batch { source, records }));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Reader for FileReader {
    async fn next(&mut self) -> Result<Batch, LogError> {
        loop {
            // Before the ends are read, so that a publication in between wakes this reader.
            self.changed.borrow_and_update();
            if let Some(batch) = self.ready().await? {
                return Ok(batch);
            }
            self.changed.changed().await.map_err(|_| closed())?;
        }
    }
}

fn closed() -> LogError {
    LogError::Fatal("it was closed".into())
}
