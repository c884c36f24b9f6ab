//! A cache of frames rendered for sessions that catch up: a whole office misses the same events.

use std::sync::Arc;

use teamlog_log::{Offset, Partition};

use crate::frames::Addressed;

/// The bytes of an event's frames beside their texts: their key and what the cache keeps of each.
const ENTRY_BYTES: usize = 64;

/// The frames of events.
pub(super) type Rendered = moka::sync::Cache<(Partition, Offset), Arc<Addressed>>;

/// Builds the cache for at most so many bytes.
pub(super) fn rendered(bytes_max: u64) -> Rendered {
    let weigh = |_: &(Partition, Offset), frames: &Arc<Addressed>| {
        let bytes: usize = frames.iter().map(|(_, frame)| frame.cost()).sum();
        u32::try_from(bytes + ENTRY_BYTES).unwrap_or(u32::MAX)
    };
    moka::sync::Cache::builder().max_capacity(bytes_max).weigher(weigh).build()
}
