//! The cache in this process.

use async_trait::async_trait;
use moka::{ops::compute::Op, sync};

use super::{Cache, Cached};

/// The memory that an item takes besides its key's and value's bytes. In bytes.
const ITEM_BYTES: usize = 160;

/// A cache in memory, bounded in bytes. The least used items are evicted first.
#[derive(Clone)]
pub struct LocalCache {
    items: sync::Cache<String, Cached>,
}

impl LocalCache {
    /// Makes an empty cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> LocalCache {
        let weigh =
            |key: &String, item: &Cached| u32::try_from(key.len() + item.value.len() + ITEM_BYTES).unwrap_or(u32::MAX);
        LocalCache { items: sync::Cache::builder().max_capacity(bytes_max).weigher(weigh).build() }
    }
}

#[async_trait]
impl Cache for LocalCache {
    async fn get(&self, key: &str) -> Option<Cached> {
        self.items.get(key)
    }

    async fn set_if_newer(&self, key: &str, item: Cached) {
        self.items.entry_by_ref(key).and_compute_with(|there| match there {
            Some(there) if !item.replaces(there.value()) => Op::Nop,
            _ => Op::Put(item),
        });
    }

    async fn delete(&self, key: &str) {
        self.items.invalidate(key);
    }
}
