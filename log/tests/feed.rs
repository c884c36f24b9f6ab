//! Who asks for too much of the past, and who does not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use teamlog_log::testing::FaultyLog;
use teamlog_log::{
    Feed, FeedConfig, FeedError, Log, NewRecord, Offset, Partition, Position, Stamp, TopicPartition, claim_value,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const EVENTS: TopicPartition = TopicPartition::events(Partition(0));
const COUNT: u64 = 400;

fn record(stamp: Stamp, value: Bytes) -> NewRecord {
    NewRecord { key: None, value: Some(value), stamp, writer: None, traceparent: None }
}

/// A log of some hundred records, and a feed whose ring holds a few of them and whose scans hold some more.
async fn house(stop: &CancellationToken) -> Feed<Bytes> {
    let log = FaultyLog::plain(1);
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
    Position { log_id: Uuid::from_u128(2), offset: Offset(offset), epoch: 1, next_seq: Some(offset - 1) }
}

#[tokio::test]
async fn who_stands_too_far_back_spoils_it_for_nobody() {
    let stop = CancellationToken::new();
    let feed = house(&stop).await;
    assert!(feed.reaches_back(EVENTS, &at(COUNT)) && !feed.reaches_back(EVENTS, &at(COUNT - 60)));
    for _ in 0..3 {
        // All at once, so that one scan is to serve them all.
        let far = feed.scan(EVENTS, Position::START);
        let (far, near, other) =
            tokio::join!(far, feed.scan(EVENTS, at(COUNT - 60)), feed.scan(EVENTS, at(COUNT - 50)));
        assert!(matches!(far, Err(FeedError::TooFar { .. })), "{:?}", far.map(|entries| entries.len()));
        assert_eq!((near.unwrap().len(), other.unwrap().len()), (61, 51));
        // Nor who comes with a place of another log.
        let alien = Position { log_id: Uuid::from_u128(9), ..at(COUNT - 90) };
        let (alien, near) = tokio::join!(feed.scan(EVENTS, alien), feed.scan(EVENTS, at(COUNT - 70)));
        assert!(matches!(alien, Err(FeedError::OtherLog { .. })), "{:?}", alien.map(|entries| entries.len()));
        assert_eq!(near.unwrap().len(), 71);
    }
    stop.cancel();
}
