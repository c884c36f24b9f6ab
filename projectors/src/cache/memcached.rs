//! The cache in memcached, shared by all nodes.

use std::time::Duration;

use async_trait::async_trait;
use memcache::exp::{AsyncMemcache, Get, Meta, Set, Ttl};
use tokio::sync::OnceCell;
use tracing::warn;

use super::{Cache, Cached};

/// How long one exchange may take: longer, and the database would have been quicker.
const EXCHANGE_TIMEOUT: Duration = Duration::from_millis(100);
/// How long an item stays. It is void sooner: once the tail does not reach back to it.
const KEPT: Ttl = Ttl::secs(600);
/// memcached's own bound of an item, less its head.
const ITEM_BYTES_MAX: usize = 1_000_000;
/// How often a compare-and-swap is tried again when others write the same key.
const ATTEMPTS: usize = 3;

/// Items in one or more memcached servers, each key on one of them.
pub struct MemcachedCache {
    servers: Vec<String>,
    client: OnceCell<AsyncMemcache>,
}

impl MemcachedCache {
    /// The servers, as `host:port`. Nothing is opened before it is used.
    pub fn new(servers: &[String]) -> MemcachedCache {
        MemcachedCache { servers: servers.to_vec(), client: OnceCell::new() }
    }

    async fn client(&self) -> Option<&AsyncMemcache> {
        let connect = || async {
            AsyncMemcache::builder()
                .timeout(EXCHANGE_TIMEOUT)
                .connect_timeout(EXCHANGE_TIMEOUT)
                .hash_function(fnv)
                // A dead server is a miss, not an error.
                .degrade(true)
                .connect_async(self.servers.iter().map(String::as_str))
                .await
        };
        match self.client.get_or_try_init(connect).await {
            Ok(client) => Some(client),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn failed(&self, error: &memcache::exp::Error) {
        metrics::counter!("teamlog_cache_failures_total").increment(1);
        warn!(%error, "memcached does not answer; the database does instead");
    }

    /// The item and its version.
    async fn look(&self, client: &AsyncMemcache, key: &str) -> Result<Option<(Option<Cached>, u64)>, ()> {
        let found = client.meta().run(Get::new(key).meta(Meta::default().cas())).await;
        let found = found.map_err(|error| self.failed(&error))?;
        Ok(found.value.zip(found.item.cas).map(|(value, cas)| (Cached::decode(value), cas)))
    }
}

#[async_trait]
impl Cache for MemcachedCache {
    async fn get(&self, key: &str) -> Option<Cached> {
        let client = self.client().await?;
        self.look(client, key).await.ok()??.0
    }

    async fn set_if_newer(&self, key: &str, item: Cached) {
        let bytes = item.encode();
        let Some(client) = self.client().await.filter(|_| bytes.len() <= ITEM_BYTES_MAX) else { return };
        for _ in 0..ATTEMPTS {
            let Ok(there) = self.look(client, key).await else { return };
            let set = Set::new(key, &bytes).ttl(KEPT);
            let set = match there {
                Some((Some(there), _)) if !item.replaces(&there) => return,
                Some((_, cas)) => set.compare_cas(cas),
                None => set.add(),
            };
            match client.meta().run(set).await {
                Ok(done) if done.applied() => return,
                // Somebody else was quicker.
                Ok(_) => {}
                Err(error) => return self.failed(&error),
            }
        }
    }

    async fn delete(&self, key: &str) {
        if let Some(client) = self.client().await
            && let Err(error) = client.delete(key).await
        {
            self.failed(&error);
        }
    }
}

/// FNV-1a, so that every node and version finds a key on the same server.
fn fnv(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
