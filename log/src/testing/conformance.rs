//! The cases that every engine must pass. [`conformance!`](crate::conformance) makes a test of each.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Appended, Feed, FeedConfig, FeedError, Log, LogError, NewRecord, Offset, Partition, Position};
use crate::{RECORD_BYTES_MAX, Reader, Record, Stamp, Topic, TopicPartition};

/// Partitions of `events` of a subject.
pub const PARTITIONS: u32 = 4;

/// Records that a subject's queue takes.
pub const QUEUE_RECORDS_MAX: usize = 1_000;

/// The longest wait of a case for one result.
const DEADLINE: Duration = Duration::from_secs(30);

/// A new, empty log of an engine, with [`PARTITIONS`] partitions and room for [`QUEUE_RECORDS_MAX`] records.
#[async_trait]
pub trait Subject: Send {
    /// The log.
    fn log(&self) -> Arc<dyn Log>;

    /// Closes the engine and opens its log again.
    async fn restart(&mut self);

    /// Deletes everything, and opens an empty log in its place.
    async fn replace(&mut self);
}

/// Makes a test of every case, over `$make`: an `async fn() -> Option<impl Subject>`. If it returns none, the case is left
/// out; `$make` prints the reason.
#[macro_export]
macro_rules! conformance {
    ($make:path) => {
        $crate::conformance!(@ $make:
            partitions_are_fixed, an_empty_log_is_empty, calls_keep_their_order, headers_survive, tombstones_survive,
            a_reader_starts_anywhere, beyond_the_end_is_refused, an_unknown_partition_is_refused, an_append_wakes_readers,
            readers_are_independent, a_dropped_next_loses_nothing, a_dropped_append_loses_nothing,
            concurrent_appends_all_land, large_records_are_bounded, the_queue_is_bounded, a_restart_keeps_everything,
            a_log_cut_short_and_written_on_is_noticed);
    };
    (@ $make:path: $($case:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(mut subject) = $make().await {
                    $crate::testing::conformance::$case(&mut subject).await;
                }
            }
        )+
    };
}

/// Each topic has its number of partitions.
pub async fn partitions_are_fixed(subject: &mut impl Subject) {
    let log = subject.log();
    for topic in Topic::ALL {
        let wanted = topic.partitions(PARTITIONS);
        assert_eq!(within(log.partitions(topic)).await, Ok(wanted), "{topic}");
    }
}

/// Every end is 0, an append of nothing does nothing, and a reader at an end waits.
pub async fn an_empty_log_is_empty(subject: &mut impl Subject) {
    let log = subject.log();
    assert!(within(log.append(events(0), Vec::new())).await.is_empty());
    for partition in 0..PARTITIONS {
        assert_eq!(within(log.end(events(partition))).await, Ok(Offset::ZERO));
    }
    let mut reader = open(&log, &[(events(0), 0)]).await;
    assert!(reader.next().now_or_never().is_none());
}

/// Records get the next offsets in the order in which `append` was called, whatever order the futures are polled in.
pub async fn calls_keep_their_order(subject: &mut impl Subject) {
    let log = subject.log();
    let calls: Vec<_> =
        (0..50).map(|call| log.append(events(1), vec![seq(3 * call), seq(3 * call + 1), seq(3 * call + 2)])).collect();
    for (call, append) in calls.into_iter().enumerate().rev() {
        let wanted: Vec<u64> = (0..3).map(|place| 3 * call as u64 + place).collect();
        assert_eq!(offsets(&within(append).await), wanted);
    }
    assert_eq!(within(log.end(events(1))).await, Ok(Offset(150)));
    assert_eq!(within(log.end(events(0))).await, Ok(Offset::ZERO));
    let records = read(&log, events(1), 0, 150).await;
    for (place, record) in records.iter().enumerate() {
        let place = place as u64;
        assert_eq!((record.offset, record.stamp), (Offset(place), Stamp::Seq { epoch: 1, seq: place }));
        assert_eq!(record.value, Some(payload(place)));
    }
}

/// Key, value and every kind of stamp are read as they were appended.
pub async fn headers_survive(subject: &mut impl Subject) {
    let log = subject.log();
    let (claim, log_id) = (Uuid::from_u128(7), Uuid::from_u128(u128::MAX));
    let stamps = [
        Stamp::Claim { epoch: 1, claim, log_id },
        Stamp::Seq { epoch: 1, seq: 0 },
        Stamp::Seq { epoch: u64::MAX, seq: u64::MAX },
        Stamp::Absent,
    ];
    let keys = [None, Some(Bytes::from_static(b"T1")), Some(Bytes::from_static(b"\0\xff"))];
    let records: Vec<NewRecord> = stamps
        .iter()
        .flat_map(|stamp| keys.iter().map(|key| NewRecord { key: key.clone(), stamp: *stamp, ..seq(0) }))
        .collect();
    assert_eq!(offsets(&within(log.append(events(0), records.clone())).await).len(), records.len());
    let back = read(&log, events(0), 0, records.len()).await;
    for (new, record) in records.iter().zip(&back) {
        assert_eq!((&record.key, &record.value, record.stamp), (&new.key, &new.value, new.stamp));
        assert!(record.timestamp_ms > 0);
    }
}

/// A tombstone is not an empty value.
pub async fn tombstones_survive(subject: &mut impl Subject) {
    let log = subject.log();
    let marks = TopicPartition { topic: Topic::Marks, partition: Partition(2) };
    let record = |key: &'static str, value: Option<&'static str>| NewRecord {
        key: Some(Bytes::from_static(key.as_bytes())),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
        stamp: Stamp::Absent,
        writer: None,
        traceparent: None,
    };
    let records = vec![record("a", Some("1")), record("a", None), record("b", Some("2"))];
    assert_eq!(offsets(&within(log.append(marks, records)).await), [0, 1, 2]);
    let mut last = BTreeMap::new();
    for record in read_to(&log, marks, 0, 3).await {
        last.insert(record.key, record.value);
    }
    let wanted = [(Some(Bytes::from_static(b"a")), None), (Some(Bytes::from_static(b"b")), Some("2".into()))];
    assert_eq!(last, BTreeMap::from(wanted));
}

/// A reader over several partitions, each from its own offset, gets each partition's tail whole and in order.
pub async fn a_reader_starts_anywhere(subject: &mut impl Subject) {
    let log = subject.log();
    // More than an engine keeps in memory, so that old and new records are read.
    let total = 1_500_u64;
    for start in (0..total).step_by(500) {
        for partition in 0..3 {
            let records = (start..start + 500).map(seq).collect();
            let wanted: Vec<u64> = (start..start + 500).collect();
            assert_eq!(offsets(&within(log.append(events(partition), records)).await), wanted);
        }
    }
    let from = [(events(0), 0), (events(1), 1_499), (events(2), 700), (events(3), 0)];
    let mut reader = open(&log, &from).await;
    let mut next = BTreeMap::from(from);
    while next.iter().any(|(of, offset)| *offset < total && *of != events(3)) {
        let batch = next_batch(&mut *reader).await;
        assert!(!batch.records.is_empty());
        let expected = next.get_mut(&batch.source).expect("a requested partition");
        for record in batch.records {
            assert_eq!((record.offset.0, record.value), (*expected, Some(payload(*expected))));
            *expected += 1;
        }
    }
    assert_eq!(next[&events(3)], 0);
}

/// A reader may start at the end, and not after it.
pub async fn beyond_the_end_is_refused(subject: &mut impl Subject) {
    let log = subject.log();
    within(log.append(events(0), vec![seq(0), seq(1)])).await;
    open(&log, &[(events(0), 2), (events(1), 0)]).await;
    for wanted in [3, 1 << 62] {
        let refused = within(log.reader(vec![(events(1), Offset::ZERO), (events(0), Offset(wanted))])).await.err();
        let error = LogError::BeyondEnd { source_partition: events(0), wanted: Offset(wanted), end: Offset(2) };
        assert_eq!(refused, Some(error));
    }
}

/// A partition that does not exist is an error of the topic, not a wait.
pub async fn an_unknown_partition_is_refused(subject: &mut impl Subject) {
    let log = subject.log();
    let nowhere = events(PARTITIONS);
    let appended = within(log.append(nowhere, vec![seq(0)])).await;
    assert!(matches!(appended[..], [Appended::Failed(LogError::Topics(_))]), "{appended:?}");
    assert!(matches!(within(log.end(nowhere)).await, Err(LogError::Topics(_))));
    let reader = within(log.reader(vec![(nowhere, Offset::ZERO)])).await;
    assert!(matches!(reader.err(), Some(LogError::Topics(_))));
}

/// A reader that waits at the end gets new records of any of its partitions.
pub async fn an_append_wakes_readers(subject: &mut impl Subject) {
    let log = subject.log();
    let mut reader = open(&log, &[(events(0), 0), (events(3), 0)]).await;
    for turn in 0..10 {
        for partition in [0, 3] {
            let (batch, appended) = tokio::join!(next_batch(&mut *reader), async {
                tokio::task::yield_now().await;
                within(log.append(events(partition), vec![seq(turn)])).await
            });
            assert_eq!(offsets(&appended), [turn]);
            assert_eq!(batch.source, events(partition));
            let got: Vec<u64> = batch.records.iter().map(|record| record.offset.0).collect();
            assert_eq!(got, [turn]);
            // The record is acknowledged, so an end that is requested now includes it.
            assert_eq!(within(log.end(events(partition))).await, Ok(Offset(turn + 1)));
        }
    }
}

/// Two readers do not take from each other.
pub async fn readers_are_independent(subject: &mut impl Subject) {
    let log = subject.log();
    within(log.append(events(0), (0..100).map(seq).collect())).await;
    let mut first = open(&log, &[(events(0), 0)]).await;
    let mut second = open(&log, &[(events(0), 40)]).await;
    let mut from_first = take(&mut *first, 100).await;
    within(log.append(events(0), (100..200).map(seq).collect())).await;
    let from_second = take(&mut *second, 160).await;
    from_first.extend(take(&mut *first, 100).await);
    assert!(from_first.iter().map(|record| record.offset.0).eq(0..200));
    assert!(from_second.iter().map(|record| record.offset.0).eq(40..200));
}

/// `next` may be dropped at any await. The next call goes on where the last batch ended.
pub async fn a_dropped_next_loses_nothing(subject: &mut impl Subject) {
    let log = subject.log();
    let total = 2_000;
    let mut reader = open(&log, &[(events(0), 0)]).await;
    let writer = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            for start in (0..total).step_by(10) {
                within(log.append(events(0), (start..start + 10).map(seq).collect())).await;
            }
        }
    });
    let (mut next, mut dropped) = (0, 0_u32);
    within(async {
        while next < total {
            // From a single poll to a few hundred microseconds, so that it is dropped at each of its awaits.
            let patience = Duration::from_micros(u64::from(dropped % 7) * 100);
            match tokio::time::timeout(patience, reader.next()).await {
                Err(_) => dropped += 1,
                Ok(Err(LogError::Unavailable(_))) => {}
                Ok(Err(error)) => panic!("{error}"),
                Ok(Ok(batch)) => {
                    for record in batch.records {
                        assert_eq!(record.offset, Offset(next));
                        next += 1;
                    }
                }
            }
        }
    })
    .await;
    writer.await.expect("the writer");
    assert!(reader.next().now_or_never().is_none());
}

/// A cancelled caller takes no record back.
pub async fn a_dropped_append_loses_nothing(subject: &mut impl Subject) {
    let log = subject.log();
    drop(log.append(events(0), vec![seq(0)]));
    let kept = log.append(events(0), vec![seq(1)]);
    drop(log.append(events(0), vec![seq(2)]));
    assert_eq!(offsets(&within(kept).await), [1]);
    let records = read(&log, events(0), 0, 3).await;
    assert!(records.iter().map(|record| record.value.clone()).eq((0..3).map(|number| Some(payload(number)))));
}

/// With many callers over all partitions, each record lands once, at the reported offset, and each caller's in order.
pub async fn concurrent_appends_all_land(subject: &mut impl Subject) {
    let log = subject.log();
    let (callers, each) = (32_u64, 40_u64);
    let tasks = (0..callers).map(|caller| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let to = events(u32::try_from(caller).unwrap_or(0) % PARTITIONS);
            let mut landed = Vec::new();
            for turn in 0..each {
                let record = NewRecord { value: Some(payload(caller * each + turn)), ..seq(turn) };
                let appended = within(log.append(to, vec![record])).await;
                landed.push((to, offsets(&appended)[0], payload(caller * each + turn)));
            }
            landed
        })
    });
    let mut reported = BTreeMap::new();
    for landed in futures::future::join_all(tasks).await {
        let landed = landed.expect("a caller");
        assert!(landed.is_sorted_by_key(|(_, offset, _)| *offset));
        for (to, offset, value) in landed {
            assert!(reported.insert((to, offset), value).is_none(), "{to} offset {offset} twice");
        }
    }
    for partition in 0..PARTITIONS {
        let count = usize::try_from(callers * each / u64::from(PARTITIONS)).unwrap_or(0);
        for record in read(&log, events(partition), 0, count).await {
            assert_eq!(reported.remove(&(events(partition), record.offset.0)), record.value);
        }
    }
    assert!(reported.is_empty());
}

/// A record at the limit is taken, and one above it fails alone.
pub async fn large_records_are_bounded(subject: &mut impl Subject) {
    let log = subject.log();
    // Of varied bytes, or compression would make it small.
    let noise = |bytes: usize| {
        let mut state = 1_u32;
        Bytes::from_iter((0..bytes).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        }))
    };
    let large = NewRecord { key: Some(Bytes::from_static(b"key")), value: Some(noise(RECORD_BYTES_MAX - 3)), ..seq(1) };
    let too_large =
        NewRecord { key: Some(Bytes::from_static(b"key")), value: Some(noise(RECORD_BYTES_MAX - 2)), ..seq(2) };
    let appended = within(log.append(events(0), vec![seq(0), large.clone(), too_large, seq(3)])).await;
    let [Appended::At(Offset(0)), Appended::At(Offset(1)), failed, Appended::At(Offset(2))] = &appended[..] else {
        panic!("{appended:?}");
    };
    assert!(
        matches!(failed, Appended::Failed(LogError::TooLarge { bytes }) if *bytes == RECORD_BYTES_MAX + 1),
        "{failed:?}"
    );
    let records = read(&log, events(0), 0, 3).await;
    assert!(records[1].value == large.value);
    // Several of them need not fit into one batch.
    within(log.append(events(1), vec![large.clone(), large.clone(), large.clone(), large.clone(), large])).await;
    assert_eq!(read(&log, events(1), 0, 5).await.len(), 5);
}

/// A record that finds no room fails with `QueueFull` and never lands. Outcomes free the room.
pub async fn the_queue_is_bounded(subject: &mut impl Subject) {
    let log = subject.log();
    let over = 10;
    let count = (QUEUE_RECORDS_MAX + over) as u64;
    let appended = within(log.append(events(0), (0..count).map(seq).collect())).await;
    let (landed, refused) = appended.split_at(QUEUE_RECORDS_MAX);
    assert_eq!(offsets(landed), Vec::from_iter(0..QUEUE_RECORDS_MAX as u64));
    assert_eq!(refused.len(), over);
    assert!(refused.iter().all(|one| matches!(one, Appended::Failed(LogError::QueueFull))), "{refused:?}");
    let again = within(log.append(events(0), (0..QUEUE_RECORDS_MAX as u64).map(seq).collect())).await;
    assert_eq!(offsets(&again).len(), QUEUE_RECORDS_MAX);
    assert_eq!(within(log.end(events(0))).await, Ok(Offset(2 * QUEUE_RECORDS_MAX as u64)));
}

/// After a restart every acknowledged record is there, and offsets go on after them.
pub async fn a_restart_keeps_everything(subject: &mut impl Subject) {
    let log = subject.log();
    for partition in 0..PARTITIONS {
        let records = (0..u64::from(partition) * 10).map(seq).collect();
        within(log.append(events(partition), records)).await;
    }
    within(log.append(TopicPartition::DIRECTORY, vec![seq(0)])).await;
    drop(log);
    subject.restart().await;
    let log = subject.log();
    assert_eq!(within(log.partitions(Topic::Events)).await, Ok(PARTITIONS));
    assert_eq!(within(log.end(TopicPartition::DIRECTORY)).await, Ok(Offset(1)));
    for partition in 0..PARTITIONS {
        let count = u64::from(partition) * 10;
        assert_eq!(within(log.end(events(partition))).await, Ok(Offset(count)));
        assert_eq!(offsets(&within(log.append(events(partition), vec![seq(count)])).await), [count]);
        let records = read(&log, events(partition), 0, usize::try_from(count + 1).unwrap_or(0)).await;
        assert!(records.iter().map(|record| record.value.clone()).eq((0..=count).map(|number| Some(payload(number)))));
    }
}

/// In a log that was cut short and written on by as many claims and records as it lost, offsets, epochs and numbers are
/// equal to those of before. Every position of the lost end is refused, and those before it are good.
pub async fn a_log_cut_short_and_written_on_is_noticed(subject: &mut impl Subject) {
    let claim = |epoch, id| NewRecord {
        stamp: Stamp::Claim { epoch, claim: Uuid::from_u128(id), log_id: Uuid::from_u128(1) },
        ..seq(0)
    };
    let old = [claim(1, 10), seq(0), seq(1), claim(2, 20), of_epoch_2(0), of_epoch_2(1)];
    let kept = 2;
    let new = [claim(2, 21), of_epoch_2(0), claim(3, 30), seq(9)];
    assert_eq!(offsets(&within(subject.log().append(events(0), old.to_vec())).await), [0, 1, 2, 3, 4, 5]);
    let positions = positions(&subject.log(), &old).await;
    subject.replace().await;
    let log = subject.log();
    within(log.append(events(0), [&old[..kept], &new].concat())).await;
    assert_eq!(within(log.end(events(0))).await, Ok(Offset(6)));
    for (offset, position) in (0..).zip(&positions) {
        let wanted = match offset <= kept {
            true => Ok(()),
            false => Err(FeedError::Rewritten { source_partition: events(0), offset: position.offset }),
        };
        // A feed from the beginning, and one from the position.
        let stop = CancellationToken::new();
        let (whole, own) = (feed(&log, Position::START, &stop), feed(&log, *position, &stop));
        within(whole.wait_for(events(0), Offset(6))).await.expect("a whole log");
        assert_eq!(within(whole.check(events(0), position)).await, wanted, "{position:?}");
        assert_eq!(within(whole.scan(events(0), *position)).await.map(|_| ()), wanted, "{position:?}");
        if offset < old.len() {
            let mut subscriber = whole.subscribe(events(0), *position);
            assert_eq!(within(subscriber.next()).await.map(|_| ()), wanted, "{position:?}");
            assert_eq!(within(own.wait_for(events(0), Offset(6))).await, wanted, "{position:?}");
        }
        stop.cancel();
        within(whole.ended()).await;
        within(own.ended()).await;
    }
    // A log that was made anew has another identity, or none yet.
    subject.replace().await;
    for (records, here) in [(Vec::new(), Uuid::nil()), (vec![first_claim_of_another_log(), seq(0)], Uuid::from_u128(2))]
    {
        let log = subject.log();
        within(log.append(events(0), records)).await;
        let stop = CancellationToken::new();
        let feed = feed(&log, Position::START, &stop);
        for position in &positions[1..] {
            let wanted = FeedError::OtherLog { source_partition: events(0), here, wanted: Uuid::from_u128(1) };
            assert_eq!(within(feed.check(events(0), position)).await, Err(wanted), "{position:?}");
        }
        stop.cancel();
        within(feed.ended()).await;
    }
}

fn first_claim_of_another_log() -> NewRecord {
    NewRecord { stamp: Stamp::Claim { epoch: 1, claim: Uuid::from_u128(10), log_id: Uuid::from_u128(2) }, ..seq(0) }
}

fn of_epoch_2(number: u64) -> NewRecord {
    NewRecord { stamp: Stamp::Seq { epoch: 2, seq: number }, ..seq(number) }
}

/// The position before the first of these records, and after each, from a feed.
async fn positions(log: &Arc<dyn Log>, records: &[NewRecord]) -> Vec<Position> {
    let stop = CancellationToken::new();
    let feed = feed(log, Position::START, &stop);
    within(feed.wait_for(events(0), Offset(records.len() as u64))).await.expect("a whole log");
    let entries = within(feed.scan(events(0), Position::START)).await.expect("a whole log");
    stop.cancel();
    within(feed.ended()).await;
    std::iter::once(Position::START).chain(entries.iter().map(|entry| entry.after)).collect()
}

fn feed(log: &Arc<dyn Log>, from: Position, stop: &CancellationToken) -> Feed<Bytes> {
    let decode = Arc::new(|record: &Record| Ok(record.value.clone().unwrap_or_default()));
    // The ring holds the newest entries only, so that positions before it are read from the log.
    let config = FeedConfig { ring_bytes_max: 700, ..FeedConfig::default() };
    Feed::start(Arc::clone(log), decode, config, vec![(events(0), from)], stop.clone())
}

const fn events(partition: u32) -> TopicPartition {
    TopicPartition::events(Partition(partition))
}

/// A record with this number as its `seq` and in its value.
fn seq(number: u64) -> NewRecord {
    NewRecord {
        key: Some(Bytes::from_static(b"T1")),
        value: Some(payload(number)),
        stamp: Stamp::Seq { epoch: 1, seq: number },
        writer: Some(Bytes::from_static(b"node-1")),
        traceparent: Some(Bytes::from_static(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    }
}

fn payload(number: u64) -> Bytes {
    Bytes::from(format!("record {number}"))
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("done before the deadline")
}

/// The offsets of records that all landed.
fn offsets(appended: &[Appended]) -> Vec<u64> {
    let offset = |one: &Appended| match one {
        Appended::At(offset) => offset.0,
        other => panic!("{other:?}"),
    };
    appended.iter().map(offset).collect()
}

async fn open(log: &Arc<dyn Log>, from: &[(TopicPartition, u64)]) -> Box<dyn Reader> {
    let from = from.iter().map(|(of, offset)| (*of, Offset(*offset))).collect();
    match within(log.reader(from)).await {
        Ok(reader) => reader,
        Err(error) => panic!("{error}"),
    }
}

/// The next batch; the log may be unavailable for a moment.
async fn next_batch(reader: &mut dyn Reader) -> crate::Batch {
    within(async {
        loop {
            match reader.next().await {
                Ok(batch) => return batch,
                Err(LogError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

/// The next `count` records of a reader of one partition.
async fn take(reader: &mut dyn Reader, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(next_batch(reader).await.records);
    }
    assert_eq!(records.len(), count);
    records
}

async fn read(log: &Arc<dyn Log>, of: TopicPartition, from: u64, count: usize) -> Vec<Record> {
    let mut reader = open(log, &[(of, from)]).await;
    take(&mut *reader, count).await
}

/// Everything below `end`, with the holes that compaction left.
async fn read_to(log: &Arc<dyn Log>, of: TopicPartition, from: u64, end: u64) -> Vec<Record> {
    let mut reader = open(log, &[(of, from)]).await;
    let mut records: Vec<Record> = Vec::new();
    while records.last().is_none_or(|last| last.offset.next() < Offset(end)) {
        records.extend(next_batch(&mut *reader).await.records);
    }
    records
}
