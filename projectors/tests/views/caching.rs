//! The cache in process, and in memcached where `TEAMLOG_TEST_MEMCACHED` names a server (`127.0.0.1:11211`).

use std::sync::Arc;

use bytes::Bytes;
use teamlog_log::{Feed, Offset, Position, Topic};
use teamlog_projectors::{Cache, Cached, History, HistoryPage, LocalCache, MemcachedCache, Runner, Shards, View};
use teamlog_schemas::Event;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    events::*,
    house::{House, by_hand, shard, soon, source},
};

fn caches() -> Vec<Arc<dyn Cache>> {
    let mut caches: Vec<Arc<dyn Cache>> = vec![Arc::new(LocalCache::new(1 << 20))];
    match std::env::var("TEAMLOG_TEST_MEMCACHED") {
        Ok(server) => caches.push(Arc::new(MemcachedCache::new(&[server]))),
        Err(_) => eprintln!("left out: memcached (TEAMLOG_TEST_MEMCACHED is not set)"),
    }
    caches
}

fn item(log: u128, offset: u64, value: &'static str) -> Cached {
    let position = Position {
        log_id: Uuid::from_u128(log),
        offset: Offset(offset),
        epoch: 1,
        claim_id: Uuid::from_u128(log + 1),
        claim_offset: Offset::ZERO,
        next_seq: Some(offset),
    };
    Cached { position, value: Bytes::from_static(value.as_bytes()) }
}

#[tokio::test]
async fn an_item_never_goes_back() {
    for cache in caches() {
        let key = format!("test/{}", Uuid::now_v7());
        assert_eq!(cache.get(&key).await, None);
        cache.set_if_newer(&key, item(1, 5, "five")).await;
        cache.set_if_newer(&key, item(1, 4, "four")).await;
        assert_eq!(cache.get(&key).await, Some(item(1, 5, "five")));
        cache.set_if_newer(&key, item(1, 6, "six")).await;
        assert_eq!(cache.get(&key).await, Some(item(1, 6, "six")));
        cache.set_if_newer(&key, item(2, 1, "another log")).await;
        assert_eq!(cache.get(&key).await, Some(item(2, 1, "another log")));
        cache.delete(&key).await;
        assert_eq!(cache.get(&key).await, None);
    }
}

#[tokio::test]
async fn without_a_server_everything_misses() {
    let cache = MemcachedCache::new(&["127.0.0.1:1".to_owned()]);
    cache.set_if_newer("key", item(1, 5, "five")).await;
    assert_eq!(cache.get("key").await, None);
    cache.delete("key").await;
}

/// A shard that has all of a small team's life.
struct Lived {
    house: House,
    url: String,
    shards: Shards,
    feed: Feed<Event>,
    runner: Runner,
    stop: CancellationToken,
    end: Offset,
}

impl Lived {
    async fn new() -> Lived {
        let house = House::new().await;
        let url = format!("sqlite://{}", house.dir.path().join("s1.db").display());
        let shards = shard(vec![url.clone()]);
        let (events, life) = (source(Topic::Events), life("s1"));
        let end = house.append(events, life.iter().map(|event| &**event)).await;
        let stop = CancellationToken::new();
        let feed = house.feed(&stop);
        let runner = Runner::new(feed.clone(), stop.clone());
        runner.start(shards.projectors().remove(0));
        soon(runner.wait_for("shard s1", events, end)).await.unwrap();
        Lived { house, url, shards, feed, runner, stop, end }
    }
}

#[tokio::test]
async fn the_newest_page_is_served_while_the_tail_bridges() {
    for cache in caches() {
        let Lived { house: _house, url, shards, feed, runner, stop, end } = Lived::new().await;
        let events = source(Topic::Events);
        let history = History::new(shards.clone(), cache.clone(), feed);
        let key = format!("h2/0/{}/{}", team(), general());
        cache.delete(&key).await;
        let read = async |limit| {
            let page = HistoryPage { limit, ..HistoryPage::default() };
            history.page("s1", team(), events.partition, general(), &page).await.unwrap()
        };
        let first = read(3).await;
        assert_eq!((first.position.offset, first.rows.len()), (end, 3));
        // The rows are gone, the page is not.
        by_hand(&url, "DELETE FROM messages").await;
        let (again, all) = (read(3).await, read(100).await);
        assert_eq!((again.position, &again.rows), (first.position, &first.rows));
        assert_eq!((&all.rows[..3], all.rows.len()), (&first.rows[..], 11));
        // An item that is not of this log is not served.
        let foreign = Cached { value: cache.get(&key).await.unwrap().value, ..item(77, end.0, "") };
        cache.set_if_newer(&key, foreign).await;
        assert!(read(3).await.rows.is_empty());
        cache.delete(&key).await;
        // One that is ahead of what was read here is not served either, and stays for who has read so far.
        let ahead =
            Cached { value: Bytes::from_static(b"[]"), position: Position { offset: end.next(), ..first.position } };
        cache.set_if_newer(&key, ahead.clone()).await;
        assert_eq!(read(3).await.position, first.position);
        assert_eq!(cache.get(&key).await, Some(ahead));
        cache.delete(&key).await;
        stop.cancel();
        soon(runner.stopped()).await;
    }
}

#[tokio::test]
async fn what_was_read_of_a_wrong_shard_goes_with_its_rebuild() {
    for cache in caches() {
        let Lived { house: _house, url, shards, feed, runner, stop, .. } = Lived::new().await;
        let events = source(Topic::Events);
        let history = History::new(shards.clone(), cache.clone(), feed.clone());
        let read = async || {
            let page = HistoryPage { limit: 1, ..HistoryPage::default() };
            let page = history.page("s1", team(), events.partition, general(), &page).await.unwrap();
            page.rows[0].message.text.plain.clone()
        };
        by_hand(&url, "UPDATE messages SET body = REPLACE(body, 'at 81', 'at 18')").await;
        assert_eq!(read().await, "at 18");
        let replica = View::Shard(shards, "s1".into()).replicas().remove(0);
        assert_eq!(soon(replica.rebuild(&feed, true)).await.unwrap().differed.as_ref().unwrap().differing, 1);
        // Nothing happened meanwhile; the runner has looked which generation is the current one.
        assert_eq!(read().await, "at 81");
        stop.cancel();
        soon(runner.stopped()).await;
    }
}
