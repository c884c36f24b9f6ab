//! The cache in memcached, shared by all nodes.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use memcache::exp::{AsyncMetaClient, Delete, Get, Meta, Operation, Set, Ttl};
use parking_lot::Mutex;
use tracing::{info, warn};

use super::{Cache, Cached};

/// The timeout of one exchange, connecting included. After that the database would have been faster.
const EXCHANGE_TIMEOUT: Duration = Duration::from_millis(100);
/// The pause after a server failed, in which its keys miss at once. After it a single call tries the server, while the
/// others still miss. So a dead server costs at most one call per second the timeout of an exchange.
const LEFT_ALONE: Duration = Duration::from_secs(1);
/// The time after which an item expires. It becomes useless earlier: when the tail does not reach back to its position.
const KEPT: Ttl = Ttl::secs(600);
/// memcached's own bound of an item, less its head.
const ITEM_BYTES_MAX: usize = 1_000_000;
/// How often a compare-and-swap is tried again when others write the same key.
const ATTEMPTS: usize = 3;

/// Items in one or more memcached servers, each key on one of them.
pub struct MemcachedCache {
    servers: Vec<Server>,
}

struct Server {
    address: String,
    /// None before its first use, and after a failure: by then its name may resolve to another address.
    client: Mutex<Option<AsyncMetaClient>>,
    /// The end of the pause after a failure, if there is one.
    failed: Mutex<Option<Instant>>,
}

impl Server {
    /// True if the server may be asked now.
    fn is_asked(&self) -> bool {
        let mut failed = self.failed.lock();
        match *failed {
            None => true,
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                *failed = Some(Instant::now() + LEFT_ALONE);
                true
            }
        }
    }

    /// None if the server is in its pause after a failure, or did not answer in time.
    async fn run<O: Operation>(&self, operation: O) -> Option<O::Output> {
        if !self.is_asked() {
            return None;
        }
        let exchange = async {
            let known = self.client.lock().clone();
            let client = match known {
                Some(client) => client,
                None => {
                    let builder = AsyncMetaClient::builder().connect_timeout(Some(EXCHANGE_TIMEOUT));
                    let builder = builder.io_timeout(Some(EXCHANGE_TIMEOUT));
                    let fresh = builder.connect_async(self.address.as_str()).await?;
                    self.client.lock().get_or_insert(fresh).clone()
                }
            };
            client.run(operation).await
        };
        let why = match tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await {
            Ok(Ok(done)) => {
                if self.failed.lock().take().is_some() {
                    info!(server = self.address, "memcached answers again");
                }
                return Some(done);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {EXCHANGE_TIMEOUT:?}"),
        };
        *self.client.lock() = None;
        metrics::counter!("teamlog_cache_failures_total", "server" => self.address.clone()).increment(1);
        if self.failed.lock().replace(Instant::now() + LEFT_ALONE).is_none() {
            warn!(server = self.address, why, "memcached does not answer; the database does instead");
        }
        None
    }
}

impl MemcachedCache {
    /// The servers, as `host:port`. Nothing is opened before it is used.
    pub fn new(servers: &[String]) -> MemcachedCache {
        let server =
            |address: &String| Server { address: address.clone(), client: Mutex::default(), failed: Mutex::default() };
        MemcachedCache { servers: servers.iter().map(server).collect() }
    }

    /// The server of a key, by rendezvous hashing: the same for every node and version, and a server more or less moves
    /// its own keys alone. A dead server's keys are not moved to another, for what it still holds would be old when it is
    /// back, and every reader would have to agree that it is dead.
    fn server(&self, key: &str) -> Option<&Server> {
        self.servers.iter().max_by_key(|server| mixed(fnv(key.as_bytes()) ^ fnv(server.address.as_bytes())))
    }
}

/// The item and its version.
async fn look(server: &Server, key: &str) -> Option<Option<(Option<Cached>, u64)>> {
    let found = server.run(Get::new(key).meta(Meta::default().cas())).await?;
    Some(found.value.zip(found.item.cas).map(|(value, cas)| (Cached::decode(key, value), cas)))
}

#[async_trait]
impl Cache for MemcachedCache {
    async fn get(&self, key: &str) -> Option<Cached> {
        look(self.server(key)?, key).await??.0
    }

    async fn set_if_newer(&self, key: &str, item: Cached) {
        let bytes = item.encode(key);
        let Some(server) = self.server(key).filter(|_| bytes.len() <= ITEM_BYTES_MAX) else { return };
        for _ in 0..ATTEMPTS {
            let Some(there) = look(server, key).await else { return };
            let set = Set::new(key, &bytes).ttl(KEPT);
            let set = match there {
                Some((Some(there), _)) if !item.replaces(&there) => return,
                Some((_, cas)) => set.compare_cas(cas),
                None => set.add(),
            };
            match server.run(set).await {
                // Somebody else was quicker.
                Some(done) if !done.applied() => {}
                _ => return,
            }
        }
    }

    async fn delete(&self, key: &str) {
        if let Some(server) = self.server(key) {
            server.run(Delete::new(key)).await;
        }
    }
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finalizer of SplitMix64: FNV alone tells servers apart in a few bits only.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(servers: u16) -> MemcachedCache {
        let servers: Vec<String> = (0..servers).map(|number| format!("10.0.0.1:{}", 11_211 + number)).collect();
        MemcachedCache::new(&servers)
    }

    #[test]
    fn a_server_less_moves_its_own_keys_alone() {
        let (three, two) = (cache(3), cache(2));
        let mut counts = [0; 3];
        for number in 0..3_000 {
            let key = format!("h2/0/T0ACME/C{number}");
            let before = three.server(&key).unwrap().address.clone();
            let last = three.servers.iter().position(|server| server.address == before).unwrap();
            counts[last] += 1;
            if last < 2 {
                assert_eq!(two.server(&key).unwrap().address, before);
            }
        }
        assert!(counts.iter().all(|count| *count > 800), "{counts:?}");
    }

    /// A server that takes connections and never says a word.
    #[tokio::test]
    async fn a_server_that_hangs_costs_one_timeout_and_then_nothing() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cache = MemcachedCache::new(&[silent.local_addr().unwrap().to_string()]);
        let began = Instant::now();
        assert_eq!(cache.get("key").await, None);
        assert!(began.elapsed() >= EXCHANGE_TIMEOUT);
        // No clock decides here: while it is left alone not even an exchange is begun.
        for _ in 0..1_000 {
            assert_eq!(cache.get("key").await, None);
        }
        let until = cache.servers[0].failed.lock().unwrap();
        assert!(until > began + LEFT_ALONE, "it is left alone from its failure on");
        *cache.servers[0].failed.lock() = Some(began);
        assert!(cache.servers[0].is_asked(), "one call tries it again");
        assert!(!cache.servers[0].is_asked(), "and the others do not");
    }
}
