//! The projector of the search index: it gathers in memory and commits now and then.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use teamlog_log::{Partition, Position, TopicPartition};
use tracing::warn;

use super::{OpenIndex, SearchError, index::SearchIndex};
use crate::projector::{Batch, ProjectError, Projector};

/// The longest time between an event and its commit: a commit a second would make 86,000 segments a day.
const COMMIT_EVERY: Duration = Duration::from_secs(10);
/// Messages that wait for a commit at most, and what came with the last of them.
const WAITING_MAX: usize = 50_000;
/// Bytes of them.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Projects messages into the search index.
pub struct SearchProjector {
    open: Arc<OpenIndex>,
    replica: String,
    sources: Vec<TopicPartition>,
    /// A commit is due in a while.
    is_due: Arc<AtomicBool>,
}

impl SearchProjector {
    /// Makes a projector. `replica` is the replica's name: its directory.
    pub(crate) fn new(
        open: Arc<OpenIndex>,
        replica: String,
        partitions: impl IntoIterator<Item = Partition>,
    ) -> SearchProjector {
        let sources = partitions.into_iter().map(TopicPartition::events).collect();
        SearchProjector { open, replica, sources, is_due: Arc::default() }
    }

    /// Commits what was applied up to now.
    ///
    /// # Errors
    /// If it cannot be written; it is tried again with what comes next.
    pub async fn commit(&self) -> Result<(), ProjectError> {
        self.blocking(|index| index.commit()).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SearchIndex) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, ProjectError> {
        let open = self.open.clone();
        let work = move || open.recent().and_then(|index| work(&index));
        let done = tokio::task::spawn_blocking(work).await.map_err(|why| ProjectError::Other(why.to_string()))?;
        Ok(done?)
    }

    /// Commits in ten seconds, also if nothing more comes. Should it fail, readers still see all of it in the tail.
    fn commit_soon(&self) {
        if self.is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let (open, is_due) = (Arc::downgrade(&self.open), self.is_due.clone());
        tokio::spawn(async move {
            tokio::time::sleep(COMMIT_EVERY).await;
            is_due.store(false, Ordering::Release);
            let Some(open) = open.upgrade() else { return };
            // What waits for another generation than the current one is not needed any more.
            let commit = move || open.recent().and_then(|index| index.commit());
            if let Ok(Err(why)) = tokio::task::spawn_blocking(commit).await {
                warn!(%why, "the search index was not committed; it is tried again with what comes next");
            }
        });
    }
}

#[async_trait]
impl Projector for SearchProjector {
    fn name(&self) -> &str {
        crate::names::SEARCH
    }

    fn replica(&self) -> &str {
        &self.replica
    }

    fn sources(&self) -> Vec<TopicPartition> {
        self.sources.clone()
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError> {
        self.blocking(|index| Ok(index.settled()?.positions.clone())).await
    }

    async fn generation(&self) -> Result<u32, ProjectError> {
        let open = self.open.clone();
        let looked = tokio::task::spawn_blocking(move || open.look()).await;
        Ok(looked.map_err(|why| ProjectError::Other(why.to_string()))??)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        let batch = batch.clone();
        let apply = move |index: &SearchIndex| {
            let (messages, bytes) = index.apply(&batch)?;
            let is_full = messages >= WAITING_MAX || bytes >= WAITING_BYTES_MAX;
            if is_full { index.commit().map(|()| true) } else { Ok(false) }
        };
        if !self.blocking(apply).await? {
            self.commit_soon();
        }
        Ok(())
    }

    async fn close(&self) {
        if let Err(why) = self.commit().await {
            warn!(%why, "the search index was not committed; the next process reads the log from its last commit on");
        }
    }
}
