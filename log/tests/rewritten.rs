//! Positions of a log that was cut short and written on: refused where the two histories differ, good where they do not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use teamlog_log::testing::{FaultyLog, RawAppend, stray};
use teamlog_log::{
    Feed, FeedConfig, FeedError, Fence, Log, LogError, NewRecord, Offset, Partition, Position, Record, Stamp,
    TopicPartition, Verdict,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const EVENTS: TopicPartition = TopicPartition::events(Partition(0));

/// The next record of a history. Those from `Gap` on are not a correct writer's, or were lost, doubled or late.
#[derive(Clone, Copy, Debug)]
enum Step {
    Claim,
    Event,
    /// An event after a lost one.
    Gap,
    /// The newest event once more, if there is one.
    Repeat,
    /// An event of the previous epoch.
    Zombie,
    /// A claim that came second.
    LostClaim,
    /// A record from another program.
    Stray,
    /// A record of an epoch that was not claimed.
    Future,
}

fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Claim),
        12 => Just(Step::Event),
        1 => Just(Step::Gap),
        1 => Just(Step::Repeat),
        1 => Just(Step::Zombie),
        1 => Just(Step::LostClaim),
        1 => Just(Step::Stray),
        1 => Just(Step::Future),
    ];
    vec(step, 0..max)
}

/// Writes histories. No two claims have one id and no two records one value.
struct Writer {
    log_id: Uuid,
    made: u64,
    epoch: u64,
    seq: u64,
}

impl Writer {
    fn new() -> Writer {
        Writer { log_id: Uuid::from_u128(1 << 100), made: 0, epoch: 0, seq: 0 }
    }

    fn record(&mut self, stamp: Stamp) -> NewRecord {
        self.made += 1;
        NewRecord { value: Some(Bytes::from(self.made.to_be_bytes().to_vec())), ..stray(stamp, b"") }
    }

    fn claim(&mut self, epoch: u64) -> NewRecord {
        let stamp = Stamp::Claim { epoch, claim: Uuid::from_u128(u128::from(self.made) + 1), log_id: self.log_id };
        self.record(stamp)
    }

    fn write(&mut self, step: Step) -> NewRecord {
        let epoch = self.epoch;
        match step {
            Step::Claim => {
                (self.epoch, self.seq) = (epoch + 1, 0);
                self.claim(epoch + 1)
            }
            Step::Repeat if self.seq > 0 => self.record(Stamp::Seq { epoch, seq: self.seq - 1 }),
            Step::Event | Step::Repeat => {
                self.seq += 1;
                self.record(Stamp::Seq { epoch, seq: self.seq - 1 })
            }
            Step::Gap => {
                self.seq += 2;
                self.record(Stamp::Seq { epoch, seq: self.seq - 1 })
            }
            // With a new number: no writer sends one twice.
            Step::Zombie => self.record(Stamp::Seq { epoch: epoch.saturating_sub(1), seq: 1_000 + self.made }),
            Step::LostClaim => self.claim(epoch),
            Step::Stray => self.record(Stamp::Absent),
            Step::Future => self.record(Stamp::Seq { epoch: epoch + 7, seq: 0 }),
        }
    }

    /// Claims as a writer that has read the rest of a log.
    fn claim_after(&mut self, left: &[NewRecord]) -> NewRecord {
        self.epoch = judged(left).last().unwrap().0.epoch;
        self.write(Step::Claim)
    }
}

/// The position before each record and after the last, each with the values that count below it.
fn judged(records: &[NewRecord]) -> Vec<(Position, Vec<Bytes>)> {
    let (mut fence, mut counted) = (Fence::at(&Position::START), Vec::new());
    let mut all = vec![(Position::START, Vec::new())];
    for (offset, record) in records.iter().enumerate() {
        let offset = Offset(offset as u64);
        if fence.judge(offset, record.stamp) == Verdict::Counts {
            counted.extend(record.value.clone());
        }
        all.push((fence.position(offset.next()), counted.clone()));
    }
    all
}

fn feed(log: &Arc<FaultyLog>, from: Position, stop: &CancellationToken) -> Feed<Bytes> {
    let decode = Arc::new(|record: &Record| Ok(record.value.clone().unwrap_or_default()));
    // The ring holds the newest ten of some thirty records.
    let config = FeedConfig { ring_bytes_max: 2_000, ..FeedConfig::default() };
    Feed::start(log.clone(), decode, config, vec![(EVENTS, from)], stop.clone())
}

/// Expects one result of all that takes up a position: the check, a scan, a reader, and a feed that starts there.
async fn expect(feed: &Feed<Bytes>, log: &Arc<FaultyLog>, position: Position, wanted: &Result<(), FeedError>) {
    assert_eq!(&feed.check(EVENTS, &position).await, wanted, "{position:?}");
    // A reader after the feed's end waits for more records: a program that takes up such a position checks it first.
    if position.offset > log.end(EVENTS).await.unwrap() {
        return;
    }
    // A position that the ring reaches is compared with the ring, which finds only that it differs.
    let like_wanted = |found: Result<(), FeedError>| match (&found, wanted) {
        (Err(FeedError::Rewritten { offset, .. }), Err(FeedError::OtherLog { .. })) => *offset == position.offset,
        _ => &found == wanted,
    };
    let scanned = feed.scan(EVENTS, position).await.map(|_| ());
    assert!(like_wanted(scanned.clone()), "a scan from {position:?}: {scanned:?} and not {wanted:?}");
    let mut subscriber = feed.subscribe(EVENTS, position);
    if let Ok(first) = tokio::time::timeout(Duration::from_secs(60), subscriber.next()).await {
        let first = first.map(|_| ());
        assert!(like_wanted(first.clone()), "a reader from {position:?}: {first:?} and not {wanted:?}");
    } else {
        assert_eq!((wanted, position.offset), (&Ok(()), log.end(EVENTS).await.unwrap()));
    }
    let stop = CancellationToken::new();
    let own = self::feed(log, position, &stop);
    let read = own.wait_for(EVENTS, log.end(EVENTS).await.unwrap()).await;
    let stopped = if position.offset == log.end(EVENTS).await.unwrap() {
        // There is no record to wait for, and the check may not be finished yet.
        tokio::time::sleep(Duration::from_secs(60)).await;
        own.stopped(EVENTS).map_or(Ok(()), Err)
    } else {
        read
    };
    assert_eq!(&stopped, wanted, "a feed from {position:?}");
    stop.cancel();
}

async fn cut_and_written_on(before: &[Step], cut: usize, late: &[Step], after: &[Step]) {
    let mut writer = Writer::new();
    let old: Vec<_> = before.iter().map(|step| writer.write(*step)).collect();
    let cut = cut.min(old.len());
    let mut new = old[..cut].to_vec();
    // Records that the lost end's writer still had in flight, and then a writer that has read the rest.
    for step in late {
        new.push(writer.write(*step));
    }
    if !after.is_empty() {
        let claim = writer.claim_after(&new);
        new.push(claim);
        new.extend(after.iter().map(|step| writer.write(*step)));
    }
    let log = FaultyLog::plain(1);
    for record in &new {
        log.append_raw(EVENTS, record.clone()).await;
    }
    let stop = CancellationToken::new();
    let feed = feed(&log, Position::START, &stop);
    feed.wait_for(EVENTS, Offset(new.len() as u64)).await.unwrap();
    let now = judged(&new);
    for (offset, (position, counted)) in judged(&old).into_iter().enumerate() {
        let same = now.get(offset).filter(|(here, _)| *here == position);
        let (here, end) = (now[offset.min(new.len())].0.log_id, Offset(new.len() as u64));
        let wanted = if same.is_some() {
            Ok(())
        } else if !position.log_id.is_nil() && here != position.log_id {
            // The first claim is lost as well.
            Err(FeedError::OtherLog { source_partition: EVENTS, here, wanted: position.log_id })
        } else if position.offset > end {
            Err(LogError::BeyondEnd { source_partition: EVENTS, wanted: position.offset, end }.into())
        } else {
            Err(FeedError::Rewritten { source_partition: EVENTS, offset: position.offset })
        };
        assert!(offset > cut || wanted.is_ok(), "what was before the cut is still there");
        // A position names all records that count below it, except in an epoch that a gap has closed: there it does not say
        // how many of the epoch counted. That matters only for records of the lost end's writer that were in flight.
        let names_all = position.next_seq.is_some() || late.is_empty();
        assert!(!names_all || same.is_none_or(|(_, here)| *here == counted), "{position:?} names two histories");
        expect(&feed, &log, position, &wanted).await;
    }
    stop.cancel();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_position_is_good_as_long_as_the_log_has_all_that_counts_below_it(
        before in steps(30),
        cut in 0_usize..30,
        late in vec(prop_oneof![Just(Step::Event), Just(Step::Gap), Just(Step::Stray)], 0..4),
        after in steps(30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(cut_and_written_on(&before, cut, &late, &after));
    }
}

/// A history of two claims and as many events each, and the position after it.
fn history(writer: &mut Writer) -> (Vec<NewRecord>, Position) {
    let steps = [Step::Claim, Step::Event, Step::Event, Step::Claim, Step::Event, Step::Event];
    let records: Vec<_> = steps.into_iter().map(|step| writer.write(step)).collect();
    let end = judged(&records).pop().unwrap().0;
    (records, end)
}

/// A history that was cut short and written on by as many claims and records as were lost: offsets, epochs and numbers
/// are equal to those of before.
fn rewritten(writer: &mut Writer, old: &[NewRecord]) -> Vec<NewRecord> {
    let mut new = old[..2].to_vec();
    let claim = writer.claim_after(&new);
    new.push(claim);
    new.extend([Step::Event, Step::Event, Step::Event].into_iter().map(|step| writer.write(step)));
    new
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_rewritten_beneath_a_process_is_noticed_once_it_answers_again() {
    for entries_more in [0, 1, 5] {
        let (mut writer, stop, log) = (Writer::new(), CancellationToken::new(), FaultyLog::plain(2));
        let (old, end) = history(&mut writer);
        let mut new = rewritten(&mut writer, &old);
        new.extend((0..entries_more).map(|_| writer.write(Step::Event)));
        let other = TopicPartition::events(Partition(1));
        for record in &old {
            log.append_raw(EVENTS, record.clone()).await;
            log.append_raw(other, record.clone()).await;
        }
        let decode = Arc::new(|record: &Record| Ok(record.value.clone().unwrap_or_default()));
        let from = vec![(EVENTS, Position::START), (other, Position::START)];
        let feed = Feed::start(log.clone(), decode, FeedConfig::default(), from, stop.clone());
        feed.wait_for(EVENTS, end.offset).await.unwrap();
        feed.wait_for(other, end.offset).await.unwrap();
        log.set_unavailable(true);
        // Long enough for the reader to notice.
        tokio::time::sleep(Duration::from_secs(1)).await;
        log.cut(EVENTS, Offset::ZERO);
        for record in &new {
            log.append_raw(EVENTS, record.clone()).await;
        }
        log.set_unavailable(false);
        // This one lost nothing.
        log.append_raw(other, writer.write(Step::Stray)).await;
        feed.wait_for(other, end.offset.next()).await.unwrap();
        // Every position of the process is of the lost history. The next record makes it check.
        let more = log.append_raw(EVENTS, writer.write(Step::Event)).await;
        let waited = feed.wait_for(EVENTS, more.next()).await;
        assert_eq!(
            waited,
            Err(FeedError::Rewritten { source_partition: EVENTS, offset: end.offset }),
            "{entries_more}"
        );
        assert_eq!(feed.position(EVENTS), end, "nothing of the other history was handed out");
        stop.cancel();
    }
}

/// In a long epoch a check reads two records, not all.
#[tokio::test]
async fn a_check_costs_no_more_on_a_long_log() {
    let (mut writer, log) = (Writer::new(), FaultyLog::plain(1));
    let steps = std::iter::once(Step::Claim).chain(std::iter::repeat_n(Step::Event, 200_000));
    let records: Vec<_> = steps.map(|step| writer.write(step)).collect();
    let end = judged(&records[..1])[1].0;
    let end = Position { offset: Offset(records.len() as u64), next_seq: Some(200_000), ..end };
    for record in records {
        log.append_raw(EVENTS, record).await;
    }
    let stop = CancellationToken::new();
    let feed = feed(&log, end, &stop);
    let (began, checks) = (std::time::Instant::now(), 100);
    for _ in 0..checks {
        feed.check(EVENTS, &end).await.unwrap();
    }
    // A check that judged all records would take some 100 ms.
    assert!(began.elapsed() < Duration::from_millis(20 * checks), "{:?}", began.elapsed());
    let elsewhere = Position { claim_id: Uuid::from_u128(77), ..end };
    let rewritten = FeedError::Rewritten { source_partition: EVENTS, offset: end.offset };
    assert_eq!(feed.check(EVENTS, &elsewhere).await, Err(rewritten));
    stop.cancel();
}
