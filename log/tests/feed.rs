//! The feed: scans that reach back too far, readers that fell out of the ring, and requests for the end.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use teamlog_log::testing::FaultyLog;
use teamlog_log::{
    Appended, Batch, Feed, FeedConfig, FeedError, Log, LogError, NewRecord, Offset, Partition, Position, Reader, Stamp,
    Topic, TopicPartition, claim_value,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const EVENTS: TopicPartition = TopicPartition::events(Partition(0));
const COUNT: u64 = 400;

fn record(stamp: Stamp, value: Bytes) -> NewRecord {
    NewRecord { key: None, value: Some(value), stamp, writer: None, traceparent: None }
}

/// Makes a log of some hundred records, and a feed whose ring holds a few of them and whose scans hold some more.
async fn house(log: Arc<dyn Log>, stop: &CancellationToken) -> Feed<Bytes> {
    let claim = Stamp::Claim { epoch: 1, claim: Uuid::from_u128(1), log_id: Uuid::from_u128(2) };
    let mut records = vec![record(claim, claim_value("node", 0))];
    let stamps = (0..COUNT).map(|seq| Stamp::Seq { epoch: 1, seq });
    records.extend(stamps.map(|stamp| record(stamp, Bytes::from(vec![7; 300]))));
    log.append(EVENTS, records).await;
    let config = FeedConfig { ring_bytes_max: 10_000, scan_bytes_max: 60_000 };
    let decode = Arc::new(|record: &teamlog_log::Record| Ok(record.value.clone().unwrap_or_default()));
    let feed = Feed::start(log, decode, config, vec![(EVENTS, Position::START)], stop.clone());
    feed.wait_for(EVENTS, Offset(COUNT + 1)).await.unwrap();
    feed
}

fn at(offset: u64) -> Position {
    Position {
        log_id: Uuid::from_u128(2),
        offset: Offset(offset),
        epoch: 1,
        claim_id: Uuid::from_u128(1),
        claim_offset: Offset::ZERO,
        next_seq: Some(offset - 1),
    }
}

#[tokio::test]
async fn a_reader_too_far_back_does_not_harm_the_others() {
    let stop = CancellationToken::new();
    let feed = house(FaultyLog::plain(1), &stop).await;
    assert!(feed.reaches_back(EVENTS, &at(COUNT)) && !feed.reaches_back(EVENTS, &at(COUNT - 60)));
    for _ in 0..3 {
        // All at once, so that one scan is to serve them all.
        let far = feed.scan(EVENTS, Position::START);
        let (far, near, other) =
            tokio::join!(far, feed.scan(EVENTS, at(COUNT - 60)), feed.scan(EVENTS, at(COUNT - 50)));
        assert!(matches!(far, Err(FeedError::TooFar { .. })), "{:?}", far.map(|entries| entries.len()));
        assert_eq!((near.unwrap().len(), other.unwrap().len()), (61, 51));
        // Nor does a position of another log.
        let alien = Position { log_id: Uuid::from_u128(9), ..at(COUNT - 90) };
        let (alien, near) = tokio::join!(feed.scan(EVENTS, alien), feed.scan(EVENTS, at(COUNT - 70)));
        assert!(matches!(alien, Err(FeedError::OtherLog { .. })), "{:?}", alien.map(|entries| entries.len()));
        assert_eq!(near.unwrap().len(), 71);
    }
    stop.cancel();
}

/// A log whose first reader (the feed's) can be stopped, and so can its answers to requests for an end.
struct Holding {
    log: Arc<FaultyLog>,
    read: AtomicBool,
    held: Arc<AtomicBool>,
    /// The number of requests for an end.
    requests: watch::Sender<usize>,
    answers: watch::Sender<bool>,
}

impl Holding {
    fn new(log: &Arc<FaultyLog>) -> Arc<Holding> {
        Arc::new(Holding {
            log: log.clone(),
            read: AtomicBool::new(false),
            held: Arc::default(),
            requests: watch::Sender::new(0),
            answers: watch::Sender::new(true),
        })
    }
}

struct HeldReader(Box<dyn Reader>, Arc<AtomicBool>);

#[async_trait]
impl Reader for HeldReader {
    async fn next(&mut self) -> Result<Batch, LogError> {
        let batch = self.0.next().await;
        if self.1.load(Ordering::Relaxed) { futures::future::pending().await } else { batch }
    }
}

#[async_trait]
impl Log for Holding {
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.log.partitions(topic).await
    }

    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>> {
        self.log.append(to, records)
    }

    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        let end = self.log.end(of).await;
        self.requests.send_modify(|requests| *requests += 1);
        self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
        end
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        let reader = self.log.reader(from).await?;
        let is_first = !self.read.swap(true, Ordering::Relaxed);
        Ok(if is_first { Box::new(HeldReader(reader, self.held.clone())) } else { reader })
    }
}

/// A reader that fell out of the ring and reads the log must not get ahead of the feed: other readers rely on the ring to
/// have every entry that one of them got.
#[tokio::test]
async fn no_reader_gets_ahead_of_the_feed() {
    let (stop, log) = (CancellationToken::new(), FaultyLog::plain(1));
    let holding = Holding::new(&log);
    let feed = house(holding.clone(), &stop).await;
    holding.held.store(true, Ordering::Relaxed);
    let more = (COUNT..COUNT + 50).map(|seq| record(Stamp::Seq { epoch: 1, seq }, Bytes::from(vec![7; 300])));
    log.append(EVENTS, more.collect()).await;
    let mut subscriber = feed.subscribe(EVENTS, Position::START);
    let mut read = 0;
    while subscriber.position() != feed.position(EVENTS) {
        read += subscriber.next().await.unwrap().len() as u64;
    }
    assert_eq!((read, subscriber.position()), (COUNT + 1, at(COUNT + 1)));
    assert!(subscriber.next().now_or_never().is_none(), "the feed has read no more");
    stop.cancel();
}

/// The answer to a request that was in flight before a caller arrived may be too old for that caller.
#[tokio::test]
async fn concurrent_requests_for_the_end_cost_two_and_none_gets_an_old_one() {
    let (stop, log) = (CancellationToken::new(), FaultyLog::plain(1));
    let holding = Holding::new(&log);
    let feed = house(holding.clone(), &stop).await;
    let before = *holding.requests.borrow();
    holding.answers.send_replace(false);
    let mut first = Box::pin(feed.end(EVENTS));
    while *holding.requests.borrow() == before {
        assert!(futures::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
    }
    log.append(EVENTS, vec![record(Stamp::Seq { epoch: 1, seq: COUNT }, Bytes::new())]).await;
    let mut others = Box::pin(futures::future::join_all((0..100).map(|_| feed.end(EVENTS))));
    assert!(futures::poll!(&mut others).is_pending());
    holding.answers.send_replace(true);
    assert_eq!(first.await, Ok(Offset(COUNT + 1)));
    for end in others.await {
        assert_eq!(end, Ok(Offset(COUNT + 2)));
    }
    assert_eq!(*holding.requests.borrow() - before, 2);
    // If the caller that makes the request is cancelled, the next caller makes it.
    holding.answers.send_replace(false);
    let (mut goes, mut stays) = (Box::pin(feed.end(EVENTS)), Box::pin(feed.end(EVENTS)));
    while *holding.requests.borrow() - before == 2 {
        assert!(futures::poll!(&mut goes).is_pending());
        assert!(futures::poll!(&mut stays).is_pending());
        tokio::task::yield_now().await;
    }
    drop(goes);
    holding.answers.send_replace(true);
    assert_eq!(stays.await, Ok(Offset(COUNT + 2)));
    log.set_unavailable(true);
    assert!(matches!(feed.end(EVENTS).await, Err(FeedError::Log(LogError::Unavailable(_)))));
    stop.cancel();
}
