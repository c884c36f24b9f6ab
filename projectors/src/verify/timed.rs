//! Measuring how fast a replica is built from the log, compared with inserting its rows.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{TryStreamExt, future::try_join_all};
use parking_lot::Mutex;
use teamlog_log::{Feed, Offset, Position, TopicPartition};
use teamlog_schemas::Event;

use super::{
    DatabaseReplica, Rebuildable, VerifyError,
    catch_up::{catch_up, ends},
};
use crate::{
    db::{Cells, DbError, Dialect, POSITIONS, Replica},
    projector::{Batch, ProjectError, Projector},
};

/// The number of rows in one transaction of plain inserts: as many as a batch of a build has entries.
const COMMIT_ROWS: usize = 5_000;

/// The time of a build, and for comparison the time to insert its rows without building.
#[derive(Clone, Debug)]
pub struct BuildTimes {
    /// `mysql` or `sqlite`.
    pub database: &'static str,
    /// The number of log entries that were applied, including void records and claims.
    pub entries: u64,
    /// The number of rows in the built replica.
    pub rows: u64,
    /// The time from reading the first entry to the commit of the last batch.
    pub build: Duration,
    /// The time of each batch, from its first statement to its commit.
    pub batches: Vec<Duration>,
    /// The time to insert equal rows, in the order of their keys, by statements of many rows and nothing else.
    pub inserts: Duration,
}

/// Builds a generation from at most `entries_max` log entries, inserts its rows a second time into another generation, and
/// removes both. Neither becomes current, and a generation that a rebuild completed stays.
pub(crate) async fn time_build(
    feed: &Feed<Event>,
    replica: &DatabaseReplica,
    entries_max: u64,
) -> Result<BuildTimes, VerifyError> {
    // The next generation may be built and wait for its switch.
    let current = replica.current().await?;
    let [built, copied] = [current + 2, current + 3];
    for generation in [built, copied] {
        replica.remove(generation).await?;
    }
    let timed = timed(feed, replica, [built, copied], entries_max).await;
    for generation in [built, copied] {
        replica.remove(generation).await?;
    }
    timed
}

async fn timed(
    feed: &Feed<Event>,
    replica: &DatabaseReplica,
    [built, copied]: [u32; 2],
    entries_max: u64,
) -> Result<BuildTimes, VerifyError> {
    let [from, to] = [built, copied].map(|generation| replica.replica.generation(generation));
    let projector = Timed { inner: (replica.projector)(from.clone(), None), applied: Mutex::default() };
    // Its tables are made before time begins to count.
    projector.positions().await?;
    let ends = ends(feed, projector.sources()).await?;
    // The process's own feed reads all of the log when it starts: that is no work of this build.
    let fenced = ends.iter().filter(|(source, _)| source.topic.fenced());
    try_join_all(fenced.map(|(source, end)| feed.wait_for(*source, *end))).await?;
    let wanted = first(entries_max, &projector.sources(), &ends);
    let begun = Instant::now();
    catch_up(feed, &projector, wanted).await?;
    let build = begun.elapsed();
    let copied = copy(replica, &from, &to).await;
    from.close().await;
    to.close().await;
    let (database, rows, inserts) = copied?;
    let Applied { entries, batches } = projector.applied.into_inner();
    Ok(BuildTimes { database, entries, rows, build, batches, inserts })
}

/// Returns the offset at which to stop in each source, so that a maximum number of entries is read in all.
fn first(
    entries_max: u64,
    sources: &[TopicPartition],
    ends: &HashMap<TopicPartition, Offset>,
) -> Vec<(TopicPartition, Offset)> {
    let mut left = entries_max;
    let each = sources.iter().filter_map(|source| Some((*source, ends.get(source)?.0)));
    each.map(|(source, end)| {
        let taken = end.min(left);
        left -= taken;
        (source, Offset(taken))
    })
    .collect()
}

/// The time counts that is spent in the database that is written to.
async fn copy(
    replica: &DatabaseReplica,
    from: &Replica,
    to: &Replica,
) -> Result<(&'static str, u64, Duration), DbError> {
    let mut source = from.read().await?;
    let database = match source.dialect() {
        Dialect::MySql => "mysql",
        Dialect::Sqlite => "sqlite",
    };
    // Opened, and its tables made.
    drop(to.read().await?);
    let (mut count, mut time) = (0, Duration::ZERO);
    for table in replica.schema.tables.iter().chain([&POSITIONS]) {
        let sql = format!("SELECT {} FROM {} ORDER BY {}", table.names(), table.name, table.key_names());
        let mut rows = source.stream(sql, Cells::new()).try_chunks(COMMIT_ROWS);
        while let Some(rows) = rows.try_next().await.map_err(|why| why.1)? {
            count += rows.len() as u64;
            let begun = Instant::now();
            let mut tx = to.write().await?;
            tx.append(table, rows).await?;
            tx.commit().await?;
            time += begun.elapsed();
        }
    }
    Ok((database, count, time))
}

/// A projector whose batches are timed.
struct Timed {
    inner: Arc<dyn Projector>,
    applied: Mutex<Applied>,
}

#[derive(Default)]
struct Applied {
    entries: u64,
    batches: Vec<Duration>,
}

#[async_trait]
impl Projector for Timed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn replica(&self) -> &str {
        self.inner.replica()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        self.inner.sources()
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError> {
        self.inner.positions().await
    }

    async fn generation(&self) -> Result<u32, ProjectError> {
        self.inner.generation().await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        let begun = Instant::now();
        self.inner.apply(batch).await?;
        let mut applied = self.applied.lock();
        applied.entries += batch.entries.len() as u64;
        applied.batches.push(begun.elapsed());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use teamlog_log::Partition;

    use super::*;

    #[test]
    fn no_more_is_read_than_was_allowed() {
        let sources = [0, 1, 2].map(|number| TopicPartition::events(Partition(number)));
        let ends = sources.iter().copied().zip([70, 50, 9].map(Offset)).collect();
        let offsets = |max| first(max, &sources, &ends).into_iter().map(|(_, to)| to.0).collect::<Vec<_>>();
        assert_eq!(offsets(100), [70, 30, 0]);
        assert_eq!(offsets(1_000), [70, 50, 9]);
    }
}
