//! Bringing a view to a given place, outside of the runner.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use teamlog_log::{Body, Entry, Feed, Offset, Position, Topic, TopicPartition};
use teamlog_schemas::Event;

use super::VerifyError;
use crate::projector::{Batch, Projector};

/// Entries of one batch.
const BATCH_ENTRIES: usize = 5_000;
/// How long the log may give nothing before a place that it has.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same in a compacted topic, where nothing may be left before that place: a removed tombstone was the last.
const PATIENCE_COMPACTED: Duration = Duration::from_secs(2);

/// Applies each source from where the view stands up to `to`, exclusively.
pub(super) async fn catch_up(
    feed: &Feed<Event>,
    projector: &dyn Projector,
    to: &HashMap<TopicPartition, Position>,
) -> Result<(), VerifyError> {
    let at = projector.positions().await?;
    for (source, wanted) in to {
        let mut position = at.get(source).copied().unwrap_or(Position::START);
        let mut batch = Batch::default();
        let mut reader = feed.subscribe(*source, position);
        while position.offset < wanted.offset {
            let entries = below(&mut reader, *source, wanted.offset).await?;
            if let Some(last) = entries.last() {
                let from = std::mem::replace(&mut position, last.after);
                batch.extend(*source, from, entries);
            } else {
                // Only a hole lies before the wanted place.
                break;
            }
            if batch.entries.len() >= BATCH_ENTRIES {
                projector.apply(&std::mem::take(&mut batch)).await?;
            }
        }
        if !batch.entries.is_empty() {
            projector.apply(&batch).await?;
        }
    }
    Ok(())
}

/// The next entries below `wanted`; none if the next one lies at or behind it.
async fn below(
    reader: &mut teamlog_log::Subscriber<Event>,
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

/// The keys of compacted topics that were written at or behind these positions: what they were below may be gone from
/// the log, so a fold cannot tell.
pub(super) async fn newer_keys(
    feed: &Feed<Event>,
    from: &HashMap<TopicPartition, Position>,
) -> Result<HashSet<(Topic, String)>, VerifyError> {
    let mut keys = HashSet::new();
    for (source, from) in from.iter().filter(|(source, _)| source.topic.compacted()) {
        for entry in feed.scan(*source, *from).await? {
            let key = match &entry.body {
                Body::Event(event) => key_of(event),
                Body::Tombstone(Some(key)) => String::from_utf8(key.to_vec()).ok(),
                _ => None,
            };
            keys.extend(key.map(|key| (source.topic, key)));
        }
    }
    Ok(keys)
}

/// The key of a record of `marks` or `credentials`.
fn key_of(event: &Event) -> Option<String> {
    match event {
        Event::ReadMarked(e) => Some(format!("{}/{}/{}", e.meta.team, e.meta.actor?, e.conversation)),
        Event::CredentialStored(e) => Some(format!("{}/{}/{}", e.meta.team, e.user, e.credential_id)),
        _ => None,
    }
}
