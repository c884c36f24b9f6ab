//! Catching a view up to a given offset, outside of the runner.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use teamlog_log::{Body, Entry, Feed, FeedError, Offset, Position, Subscriber, Topic, TopicPartition};
use teamlog_schemas::Event;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::VerifyError;
use crate::projector::{Batch, Projector};

/// The interval at which progress is logged.
const SAID_EVERY: Duration = Duration::from_secs(5);
/// The maximum number of entries in one batch.
const BATCH_ENTRIES: usize = 5_000;
/// The time to wait for entries before an offset that the log has.
const PATIENCE: Duration = Duration::from_secs(30);
/// As [`PATIENCE`], in a compacted topic. There, no entry may be left before that offset: the last one may have been a
/// tombstone that was removed.
const PATIENCE_COMPACTED: Duration = Duration::from_secs(2);

/// Returns the log's end offset in each source.
pub(super) async fn ends(
    feed: &Feed<Event>,
    sources: impl IntoIterator<Item = TopicPartition>,
) -> Result<HashMap<TopicPartition, Offset>, VerifyError> {
    let mut ends = HashMap::new();
    for source in sources {
        ends.insert(source, feed.log().end(source).await.map_err(FeedError::from)?);
    }
    Ok(ends)
}

/// Applies each source from the view's position up to `to` (exclusive), or to the log's end if `to` is after it. The latter
/// happens if `to` comes from a view that claims more than the log has; then a comparison finds different positions.
pub(super) async fn catch_up(
    feed: &Feed<Event>,
    projector: &dyn Projector,
    to: impl IntoIterator<Item = (TopicPartition, Offset)>,
) -> Result<(), VerifyError> {
    let at = projector.positions().await?;
    let mut said = Instant::now();
    for (source, wanted) in to {
        let wanted = wanted.min(feed.log().end(source).await.map_err(FeedError::from)?);
        let from = at.get(&source).copied().unwrap_or(Position::START);
        let mut ahead = read_ahead(feed.subscribe(source, from), source, wanted);
        loop {
            // The task is never aborted while it is awaited, so it can only have panicked.
            let (reader, read) = ahead.await.unwrap_or_else(|why| std::panic::resume_unwind(why.into_panic()));
            let Some(batch) = read? else { break };
            let at = reader.position().offset;
            ahead = read_ahead(reader, source, wanted);
            projector.apply(&batch).await?;
            if said.elapsed() > SAID_EVERY {
                said = Instant::now();
                info!(view = projector.name(), partition = %source, %at, to = %wanted, "reading the log");
            }
        }
    }
    Ok(())
}

/// A batch on its way, and its reader.
type Ahead = AbortOnDropHandle<(Subscriber<Event>, Result<Option<Batch>, VerifyError>)>;

/// Reads and decodes the next batch in a task of its own, while the one before is applied. What was read before a place that
/// cannot be read comes before the error.
fn read_ahead(mut reader: Subscriber<Event>, source: TopicPartition, wanted: Offset) -> Ahead {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let read = next_batch(&mut reader, source, wanted).await;
        (reader, read)
    }))
}

/// Reads the next batch of entries before `wanted`. None if there are no more.
async fn next_batch(
    reader: &mut Subscriber<Event>,
    source: TopicPartition,
    wanted: Offset,
) -> Result<Option<Batch>, VerifyError> {
    let mut batch = Batch::default();
    while batch.entries.len() < BATCH_ENTRIES && reader.position().offset < wanted {
        let before = reader.position();
        let entries = below(reader, source, wanted).await?;
        // Only a gap is left before `wanted`.
        if entries.is_empty() {
            break;
        }
        batch.extend(source, before, entries);
    }
    Ok((!batch.entries.is_empty()).then_some(batch))
}

/// Reads the next entries before `wanted`. Empty if the next entry is at or after `wanted`.
async fn below(
    reader: &mut Subscriber<Event>,
    source: TopicPartition,
    wanted: Offset,
) -> Result<Vec<Arc<Entry<Event>>>, VerifyError> {
    let at = reader.position().offset;
    let patience = if source.topic.compacted() { PATIENCE_COMPACTED } else { PATIENCE };
    let mut entries = match tokio::time::timeout(patience, reader.next()).await {
        Ok(entries) => entries?,
        Err(_) if source.topic.compacted() => return Ok(Vec::new()),
        Err(_) => return Err(VerifyError::Stalled { source_partition: source, at, wanted }),
    };
    entries.retain(|entry| entry.offset < wanted);
    for entry in &entries {
        if let Body::Undecodable(why) = &entry.body {
            let why = why.to_string();
            return Err(VerifyError::Undecodable { source_partition: source, offset: entry.offset, why });
        }
    }
    Ok(entries)
}

/// Returns the keys of compacted topics that were written at or after these positions. Their earlier records may have been
/// compacted away, so a fold cannot give their rows.
pub(super) async fn newer_keys(
    feed: &Feed<Event>,
    from: &BTreeMap<TopicPartition, Position>,
) -> Result<HashSet<(Topic, String)>, VerifyError> {
    let mut keys = HashSet::new();
    let compacted = || from.iter().filter(|(source, _)| source.topic.compacted());
    // The feed must have read so far; where a hole is the last thing before the end, it never says that it has.
    let read = ends(feed, compacted().map(|(source, _)| *source)).await?.into_iter().map(|(source, end)| async move {
        tokio::time::timeout(PATIENCE_COMPACTED, feed.wait_for(source, end)).await.unwrap_or(Ok(()))
    });
    futures::future::try_join_all(read).await?;
    for (source, from) in compacted() {
        for entry in feed.scan(*source, *from).await? {
            let key = match &entry.body {
                Body::Event(event) => event.record_key(),
                Body::Tombstone(Some(key)) => String::from_utf8(key.to_vec()).ok(),
                _ => None,
            };
            keys.extend(key.map(|key| (source.topic, key)));
        }
    }
    Ok(keys)
}
