//! The cache: items that carry the position they reflect. A lost or flushed one costs time, never truth, for the tail
//! bridges from its position; nothing here fails, it only misses.

mod cached;
mod history;
mod local;
mod memcached;

use std::sync::Arc;

pub use cached::{Cache, Cached};
pub use history::History;
pub use local::LocalCache;
pub use memcached::MemcachedCache;

/// In memcached if any servers are named, else in this process, of at most `local_bytes_max` bytes.
pub fn cache(servers: &[String], local_bytes_max: u64) -> Arc<dyn Cache> {
    if servers.is_empty() {
        return Arc::new(LocalCache::new(local_bytes_max));
    }
    Arc::new(MemcachedCache::new(servers))
}
