//! The properties of the embedded engine alone: compaction, reading beside the writer, recovery from a failed transaction.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use teamlog_log::testing::stray;
use teamlog_log::{
    Appended, EmbeddedConfig, EmbeddedLog, Log, LogError, NewRecord, Offset, Partition, Record, Stamp, Topic,
    TopicPartition,
};

const MARKS: TopicPartition = TopicPartition { topic: Topic::Marks, partition: Partition(1) };
const EVENTS: TopicPartition = TopicPartition::events(Partition(1));
const DEADLINE: Duration = Duration::from_secs(20);

struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    Place { path: directory.path().join("log.sqlite"), _directory: directory }
}

async fn open(path: &Path, config: EmbeddedConfig) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(path, config).await.unwrap()
}

fn mark(key: u64, value: Option<u64>) -> NewRecord {
    NewRecord {
        key: Some(Bytes::from(format!("key {key}"))),
        value: value.map(|value| Bytes::from(value.to_string())),
        ..stray(Stamp::Absent, b"")
    }
}

/// The records below the end, from the file itself: a log that was just opened has none in memory.
async fn stored(path: &Path, of: TopicPartition) -> Vec<Record> {
    let log = EmbeddedLog::open_read_only(path).await.unwrap();
    let end = log.end(of).await.unwrap();
    let mut reader = log.reader(vec![(of, Offset::ZERO)]).await.unwrap();
    let mut records: Vec<Record> = Vec::new();
    while records.last().map_or(Offset::ZERO, |last| last.offset.next()) < end {
        records.extend(reader.next().await.unwrap().records);
    }
    log.close().await;
    records
}

/// Reads the stored records again and again until `done`, at most until the deadline.
async fn stored_when(path: &Path, of: TopicPartition, done: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let started = Instant::now();
    loop {
        let records = stored(path, of).await;
        if done(&records) {
            return records;
        }
        assert!(started.elapsed() < DEADLINE, "{} records are left", records.len());
        tokio::task::yield_now().await;
    }
}

fn compacting(tombstones_kept_ms: u64) -> EmbeddedConfig {
    EmbeddedConfig { compact_every_ms: 5, tombstones_kept_ms, ..EmbeddedConfig::default() }
}

#[tokio::test]
async fn of_each_key_the_newest_stays() {
    let place = place();
    let log = open(&place.path, compacting(3_600_000)).await;
    let mut newest = BTreeMap::new();
    for round in 0..40_u64 {
        let records: Vec<NewRecord> =
            (0..100).map(|key| mark(key, (key % 10 != round % 10).then_some(round))).collect();
        for record in &records {
            newest.insert(record.key.clone(), record.value.clone());
        }
        log.append(MARKS, records.clone()).await;
        log.append(EVENTS, records).await;
    }
    let left = stored_when(&place.path, MARKS, |records| records.len() == 100).await;
    assert_eq!(left.first().map(|first| first.offset), Some(Offset(3_900)));
    assert_eq!(left.into_iter().map(|record| (record.key, record.value)).collect::<BTreeMap<_, _>>(), newest);
    // Records that are kept for ever are not touched, keys or not.
    assert_eq!(stored(&place.path, EVENTS).await.len(), 4_000);

    // Once more after a restart, from the offset up to which it was clean, and across holes.
    log.close().await;
    let log = open(&place.path, compacting(3_600_000)).await;
    assert_eq!(log.end(MARKS).await, Ok(Offset(4_000)));
    let appended = log.append(MARKS, vec![mark(7, Some(1)), mark(7, Some(2))]).await;
    assert!(matches!(appended[..], [Appended::At(Offset(4_000)), Appended::At(Offset(4_001))]), "{appended:?}");
    let left = stored_when(&place.path, MARKS, |records| records.len() == 100).await;
    assert_eq!(left.last().unwrap().value, Some(Bytes::from_static(b"2")));
    log.close().await;
}

#[tokio::test]
async fn tombstones_go_in_the_end_and_the_end_stays() {
    let place = place();
    let log = open(&place.path, compacting(0)).await;
    log.append(MARKS, (0..600).map(|key| mark(key, Some(key))).collect()).await;
    log.append(MARKS, (0..600).map(|key| mark(key, None)).collect()).await;
    let left = stored_when(&place.path, MARKS, |records| records.len() == 1).await;
    assert_eq!((left[0].offset, &left[0].value), (Offset(1_199), &None));
    log.close().await;
    let log = open(&place.path, compacting(0)).await;
    assert_eq!(log.end(MARKS).await, Ok(Offset(1_200)));
    let appended = log.append(MARKS, vec![mark(0, Some(0))]).await;
    assert!(matches!(appended[..], [Appended::At(Offset(1_200))]), "{appended:?}");
    log.close().await;
}

#[tokio::test]
async fn one_reads_beside_the_writer() {
    let place = place();
    assert!(matches!(EmbeddedLog::open_read_only(&place.path).await.err(), Some(LogError::Fatal(_))));
    let writer = open(&place.path, EmbeddedConfig::default()).await;
    writer.append(EVENTS, vec![stray(Stamp::Absent, b"0")]).await;
    let beside = EmbeddedLog::open_read_only(&place.path).await.unwrap();
    let mut reader = beside.reader(vec![(EVENTS, Offset::ZERO)]).await.unwrap();
    assert_eq!(reader.next().await.unwrap().records.len(), 1);
    let (batch, _) =
        tokio::join!(tokio::time::timeout(DEADLINE, reader.next()), writer.append(EVENTS, vec![mark(1, None)]));
    assert_eq!(batch.unwrap().unwrap().records[0].offset, Offset(1));
    assert_eq!(beside.end(EVENTS).await, Ok(Offset(2)));
    let refused = beside.append(EVENTS, vec![mark(1, None)]).await;
    assert!(matches!(refused[..], [Appended::Failed(LogError::Fatal(_))]), "{refused:?}");
    beside.close().await;
    assert!(matches!(reader.next().await, Err(LogError::Fatal(_))));
    writer.close().await;
}

#[tokio::test]
async fn partitions_are_those_of_the_file() {
    let place = place();
    for partitions in [3, 5] {
        let log = open(&place.path, EmbeddedConfig { partitions, ..EmbeddedConfig::default() }).await;
        assert_eq!(log.partitions(Topic::Events).await, Ok(3));
        assert_eq!(log.partitions(Topic::Directory).await, Ok(1));
        log.close().await;
    }
}

/// Two writers of one file are a mistake of the caller. If it happens, the file's primary key keeps the order, and the
/// writer with the wrong end gets an error and then finds the right end.
#[tokio::test]
async fn a_failed_transaction_leaves_nothing_and_the_writer_recovers() {
    let place = place();
    let first = open(&place.path, EmbeddedConfig::default()).await;
    let second = open(&place.path, EmbeddedConfig::default()).await;
    first.append(EVENTS, vec![mark(0, Some(0)), mark(0, Some(1))]).await;
    let mut reader = second.reader(vec![(EVENTS, Offset::ZERO)]).await.unwrap();
    let refused = second.append(EVENTS, vec![mark(0, Some(2)), mark(0, Some(3)), mark(0, Some(4))]).await;
    assert!(refused.iter().all(|one| matches!(one, Appended::Failed(LogError::Fatal(_)))), "{refused:?}");
    let landed = second.append(EVENTS, vec![mark(0, Some(5))]).await;
    assert!(matches!(landed[..], [Appended::At(Offset(2))]), "{landed:?}");
    let mut values = Vec::new();
    while values.len() < 3 {
        values.extend(reader.next().await.unwrap().records.into_iter().filter_map(|record| record.value));
    }
    assert_eq!(values, ["0", "1", "5"]);
    second.close().await;
    first.close().await;
}

/// Records that were queued before the log is closed are written, and none is taken after that.
#[tokio::test]
async fn closing_drains() {
    let place = place();
    let log = open(&place.path, EmbeddedConfig::default()).await;
    let queued: Vec<_> = (0..500).map(|number| log.append(EVENTS, vec![mark(number, None)])).collect();
    log.close().await;
    for (number, appended) in (0..).zip(futures::future::join_all(queued).await) {
        assert!(matches!(appended[..], [Appended::At(Offset(offset))] if offset == number), "{appended:?}");
    }
    let late = log.append(EVENTS, vec![mark(0, None)]).await;
    assert!(matches!(late[..], [Appended::Failed(LogError::Unavailable(_))]), "{late:?}");
    assert_eq!(stored(&place.path, EVENTS).await.len(), 500);
}
