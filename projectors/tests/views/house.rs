//! A log, and databases to project it to.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use teamlog_log::*;
use teamlog_projectors::{ShardConfig, Shards};
use teamlog_schemas::{Event, partition_of};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::events::team;

pub(crate) const PARTITIONS: u32 = 2;

/// The partition of the team of these tests, in a topic.
pub(crate) fn source(topic: Topic) -> TopicPartition {
    TopicPartition { topic, partition: Partition(partition_of(team(), PARTITIONS)) }
}

/// An embedded log with a claim on each fenced partition that is written to.
pub(crate) struct House {
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) dir: TempDir,
    seqs: Mutex<std::collections::HashMap<TopicPartition, u64>>,
}

impl House {
    pub(crate) async fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { partitions: PARTITIONS, ..EmbeddedConfig::default() };
        let log = EmbeddedLog::open(&dir.path().join("log.db"), config).await.unwrap();
        House { log, dir, seqs: Mutex::default() }
    }

    /// Appends events and says the end behind them.
    pub(crate) async fn append<'a>(&self, to: TopicPartition, events: impl IntoIterator<Item = &'a Event>) -> Offset {
        let values =
            events.into_iter().map(|event| (Some(event.encode().unwrap()), event.record_key().map(Bytes::from)));
        self.append_raw(to, values.collect()).await
    }

    pub(crate) async fn append_raw(&self, to: TopicPartition, values: Vec<(Option<Bytes>, Option<Bytes>)>) -> Offset {
        let mut records = Vec::new();
        if to.topic.fenced() && !self.seqs.lock().contains_key(&to) {
            let stamp = Stamp::Claim { epoch: 1, claim: Uuid::from_u128(7), log_id: Uuid::from_u128(9) };
            let value = Some(Bytes::from_static(&[0, 0, 0, 0, 1]));
            records.push(NewRecord { key: None, value, stamp, writer: None, traceparent: None });
        }
        {
            let mut seqs = self.seqs.lock();
            let seq = seqs.entry(to).or_insert(0);
            for (value, key) in values {
                let stamp = if to.topic.fenced() { Stamp::Seq { epoch: 1, seq: *seq } } else { Stamp::Absent };
                *seq += 1;
                records.push(NewRecord { key, value, stamp, writer: None, traceparent: None });
            }
        }
        match self.log.append(to, records).await.last().unwrap() {
            Appended::At(offset) => offset.next(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn feed(&self, stop: &CancellationToken) -> Feed<Event> {
        self.feed_with(FeedConfig::default(), stop)
    }

    pub(crate) fn feed_with(&self, config: FeedConfig, stop: &CancellationToken) -> Feed<Event> {
        let mut from = vec![(TopicPartition::DIRECTORY, Position::START)];
        for topic in [Topic::Events, Topic::Marks, Topic::Credentials] {
            for partition in (0..PARTITIONS).map(Partition) {
                from.push((TopicPartition { topic, partition }, Position::START));
            }
        }
        Feed::start(self.log.clone(), decoder(Event::decode), config, from, stop.clone())
    }

    /// Everything of one source, judged.
    pub(crate) async fn entries(&self, of: TopicPartition) -> Vec<Arc<Entry<Event>>> {
        let stop = CancellationToken::new();
        let feed = self.feed(&stop);
        let end = self.log.end(of).await.unwrap();
        feed.wait_for(of, end).await.unwrap();
        let entries = feed.recent(of, &Position::START).unwrap().unwrap();
        stop.cancel();
        entries
    }
}

pub(crate) fn shard(replicas: Vec<String>) -> Shards {
    Shards::new(PARTITIONS, &[ShardConfig { name: "s1".into(), replicas }]).unwrap()
}

/// A new database on each kind of server there is.
pub(crate) fn databases(dir: &Path) -> Vec<String> {
    let mut urls = vec![format!("sqlite://{}", dir.join("views").join("s1.db").display())];
    match std::env::var("TEAMLOG_TEST_MYSQL") {
        Ok(server) => {
            let name = format!("teamlog_test_{}", Uuid::now_v7().simple());
            urls.push(format!("{}/{name}", server.trim_end_matches('/')));
        }
        Err(_) => eprintln!("left out: MySQL (TEAMLOG_TEST_MYSQL is not set)"),
    }
    urls
}

/// Runs a test on a new log with each kind of database.
pub(crate) async fn on_each<F: Future<Output = ()>>(test: impl Fn(House, String) -> F) {
    let urls = databases(Path::new("/"));
    for kind in 0..urls.len() {
        let house = House::new().await;
        let url = databases(house.dir.path()).swap_remove(kind);
        eprintln!("on {}", url.split(':').next().unwrap());
        test(house, url.clone()).await;
        drop_database(&url).await;
    }
}

async fn drop_database(url: &str) {
    use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
    if !url.starts_with("mysql") {
        return;
    }
    let (server, database) = url.rsplit_once('/').unwrap();
    let mut connection = MySqlConnection::connect(&format!("{server}/")).await.unwrap();
    for generation in ["", "_g1", "_g2", "_g3"] {
        let sql = format!("DROP DATABASE IF EXISTS `{database}{generation}`");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

/// Changes rows by hand.
pub(crate) async fn by_hand(url: &str, sql: &'static str) {
    assert!(statement(url, sql).await > 0, "{sql} changed nothing");
}

/// Runs a statement on a database and says how many rows it changed.
pub(crate) async fn statement(url: &str, sql: &'static str) -> u64 {
    use sqlx::{Connection, MySqlConnection, SqliteConnection};
    if url.starts_with("mysql") {
        let mut connection = MySqlConnection::connect(url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected()
    } else {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected()
    }
}

/// Ends with what `work` gives, or fails after half a minute.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("in half a minute")
}
