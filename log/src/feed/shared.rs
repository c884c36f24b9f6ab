//! The state that the reading task and all readers of a feed share.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::watch;

use super::{
    Decoder, Entry, FeedError,
    ends::Ends,
    ring::{Found, Ring},
};
use crate::{Log, Offset, Position, TopicPartition};

/// Sizes of a feed.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// Bytes of entries kept for each partition.
    pub ring_bytes_max: usize,
    /// Bytes that one shared scan for those who fell out of the ring may hold.
    pub scan_bytes_max: usize,
}

impl Default for FeedConfig {
    fn default() -> Self {
        FeedConfig { ring_bytes_max: 16 << 20, scan_bytes_max: 256 << 20 }
    }
}

/// The log, and of each partition the ring.
pub(super) struct Shared<E> {
    pub(super) log: Arc<dyn Log>,
    pub(super) decode: Decoder<E>,
    pub(super) config: FeedConfig,
    partitions: HashMap<TopicPartition, PartitionFeed<E>>,
}

/// A partition of this process: its ring and its end.
pub(super) struct PartitionFeed<E> {
    pub(super) ring: RwLock<Ring<E>>,
    /// The ring's end; sent again when the partition stops.
    pub(super) progress: watch::Sender<Offset>,
    pub(super) ends: Ends,
}

impl<E> Shared<E> {
    /// Empty rings that begin at these positions.
    pub(super) fn new(
        log: Arc<dyn Log>,
        decode: Decoder<E>,
        config: FeedConfig,
        from: &[(TopicPartition, Position)],
    ) -> Shared<E> {
        let partition = |position: &Position| PartitionFeed {
            ring: RwLock::new(Ring::new(*position, config.ring_bytes_max)),
            progress: watch::Sender::new(position.offset),
            ends: Ends::default(),
        };
        let partitions = from.iter().map(|(source, position)| (*source, partition(position))).collect();
        Shared { log, decode, config, partitions }
    }

    /// # Errors
    /// [`FeedError::NotRead`].
    pub(super) fn partition(&self, source: TopicPartition) -> Result<&PartitionFeed<E>, FeedError> {
        self.partitions.get(&source).ok_or(FeedError::NotRead(source))
    }

    /// The partitions that are read, in no order.
    pub(super) fn sources(&self) -> impl Iterator<Item = TopicPartition> {
        self.partitions.keys().copied()
    }

    /// Every entry that was read at or after `from`, out of the ring alone; none if it does not reach back so far.
    ///
    /// # Errors
    /// [`FeedError::Rewritten`] if the position is of another history; [`FeedError::NotRead`].
    pub(super) fn recent(
        &self,
        source: TopicPartition,
        from: &Position,
    ) -> Result<Option<Vec<Arc<Entry<E>>>>, FeedError> {
        match self.partition(source)?.ring.read().read(from, usize::MAX) {
            Found::Entries(entries) => Ok(Some(entries)),
            Found::Ahead => Ok(Some(Vec::new())),
            Found::FellOut => Ok(None),
            Found::Rewritten => Err(FeedError::Rewritten { source_partition: source, offset: from.offset }),
        }
    }
}

impl<E> PartitionFeed<E> {
    /// Tells the partition's readers that nothing more comes. The first reason stays.
    pub(super) fn stop(&self, why: FeedError) {
        self.ring.write().stopped.get_or_insert(why);
        self.progress.send_modify(|_| {});
    }
}
