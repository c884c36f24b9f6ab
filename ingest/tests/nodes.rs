//! Nodes on one log: who may go on, and what a clock that is off does, over an engine whose stamps the test knows.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use teamlog_ingest::{CLOCK_BOUND, Clock, JoinError, NodeParts, Nodes, SILENT_AFTER};
use teamlog_log::{
    Log, NewRecord, Offset, Stamp, TopicPartition,
    testing::{Faults, FaultyLog},
};
use teamlog_schemas::{Event, NodeBeat, Ts};
use tokio::{task::JoinHandle, time::Instant};
use uuid::Uuid;

/// A clock that is `skew_ms` ahead of the log's.
fn clock(log: &Arc<FaultyLog>, skew_ms: &Arc<AtomicI64>) -> Clock {
    let (log, skew_ms) = (log.clone(), skew_ms.clone());
    Clock::new(move || Ts::from_micros((log.clock_ms() + skew_ms.load(Ordering::Relaxed)) * 1_000))
}

fn parts(log: &Arc<FaultyLog>, node: Uuid, clock: Clock) -> NodeParts {
    NodeParts { log: log.clone(), node, role: "serve", address: format!("http://{node}"), clock }
}

async fn join(log: &Arc<FaultyLog>, node: Uuid) -> Result<Nodes, JoinError> {
    Nodes::join(parts(log, node, clock(log, &Arc::default()))).await
}

/// A heartbeat of a process that is not here; none is its goodbye.
async fn beat(log: &Arc<FaultyLog>, node: Uuid, life: Option<Uuid>) {
    let value = life.map(|life| {
        let (role, version) = ("serve".to_owned(), "0".to_owned());
        let address = "http://elsewhere".to_owned();
        let at = Ts::ZERO;
        Event::from(NodeBeat { node, life, at, role, address, version, schemas: vec![], writes: vec![] }).encode()
    });
    append(log, node, value.map(Result::unwrap)).await;
}

async fn append(log: &Arc<FaultyLog>, node: Uuid, value: Option<Bytes>) {
    let key = Some(Bytes::from(node.to_string()));
    let record = NewRecord { key, value, stamp: Stamp::Absent, writer: None, traceparent: None };
    log.append(TopicPartition::NODES, vec![record]).await;
}

/// A process that sends a heartbeat a second until it is aborted: a life that ends without a goodbye.
fn beats(log: &Arc<FaultyLog>, node: Uuid) -> JoinHandle<()> {
    let (log, life) = (log.clone(), Uuid::new_v4());
    every_second(move || {
        let log = log.clone();
        async move { beat(&log, node, Some(life)).await }
    })
}

fn every_second<F: Future<Output = ()> + Send>(mut act: impl FnMut() -> F + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            act().await;
        }
    })
}

/// Ends once so many more heartbeats lie in the log.
async fn more(log: &Arc<FaultyLog>, count: u64) {
    let end = log.end(TopicPartition::NODES).await.unwrap();
    let wanted = Offset(end.0 + count);
    let mut reader = log.reader(vec![(TopicPartition::NODES, end)]).await.unwrap();
    while log.end(TopicPartition::NODES).await.unwrap() < wanted {
        reader.next().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_one_does_not_wait() {
    let log = FaultyLog::plain(1);
    let since = Instant::now();
    let nodes = join(&log, Uuid::new_v4()).await.unwrap();
    assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
    nodes.leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_one_waits_and_then_names_the_first() {
    let log = FaultyLog::plain(1);
    let first = Uuid::new_v4();
    let nodes = join(&log, first).await.unwrap();
    let since = Instant::now();
    let Err(JoinError::Taken { node, address, age_ms }) = join(&log, Uuid::new_v4()).await else {
        panic!("two of them");
    };
    let waited = since.elapsed();
    assert!(SILENT_AFTER <= waited && waited < SILENT_AFTER + Duration::from_secs(1), "{waited:?}");
    assert_eq!((node, address), (first, format!("http://{first}")));
    assert!((0..=1_000).contains(&age_ms), "{age_ms}");
    // The second one's goodbye is not taken for the first one's, and after the first one's the third need not wait.
    join(&log, Uuid::new_v4()).await.map(drop).unwrap_err();
    nodes.leave().await;
    let since = Instant::now();
    join(&log, Uuid::new_v4()).await.unwrap();
    assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_a_death_another_one_waits_for_silence_and_goes_on() {
    let log = FaultyLog::plain(1);
    let life = beats(&log, Uuid::new_v4());
    more(&log, 4).await;
    life.abort();
    let since = Instant::now();
    let nodes = join(&log, Uuid::new_v4()).await.unwrap();
    let waited = since.elapsed();
    assert!(Duration::from_secs(2) <= waited && waited < Duration::from_millis(3_500), "{waited:?}");
    drop(nodes);
}

#[tokio::test(start_paused = true)]
async fn who_stops_in_good_order_meanwhile_is_not_waited_for_any_longer() {
    let log = FaultyLog::plain(1);
    let other = Uuid::new_v4();
    let life = beats(&log, other);
    more(&log, 1).await;
    let stops = async {
        // Four of who waits and one of the other: a second.
        more(&log, 5).await;
        life.abort();
        beat(&log, other, None).await;
    };
    let since = Instant::now();
    let (joined, ()) = tokio::join!(join(&log, Uuid::new_v4()), stops);
    joined.unwrap();
    assert!(since.elapsed() < Duration::from_millis(1_300), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_node_does_not_wait_for_its_own_former_life() {
    let log = FaultyLog::plain(1);
    let node = Uuid::new_v4();
    let life = beats(&log, node);
    more(&log, 2).await;
    life.abort();
    let since = Instant::now();
    join(&log, node).await.unwrap();
    assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn of_those_that_start_together_one_goes_on_also_over_a_bad_log() {
    for seed in 0..20 {
        let log = FaultyLog::new(1, Faults::chaos(seed));
        let all = (0..3).map(|_| join(&log, Uuid::new_v4()));
        let joined = futures::future::join_all(all).await;
        let on = joined.iter().filter(|joined| joined.is_ok()).count();
        assert_eq!(on, 1, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_only_a_newer_program_reads_is_one() {
    let log = FaultyLog::plain(1);
    let newer = Uuid::new_v4();
    let task = every_second({
        let log = log.clone();
        move || {
            let log = log.clone();
            async move { append(&log, newer, Some(Bytes::from_static(&[0, 0, 0, 0, 19, 1, 2]))).await }
        }
    });
    more(&log, 1).await;
    let Err(JoinError::Taken { node, .. }) = join(&log, Uuid::new_v4()).await else { panic!("two of them") };
    assert_eq!(node, newer);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn with_the_log_away_it_waits_for_the_log() {
    let log = FaultyLog::plain(1);
    log.set_away(true);
    let mut joining = Box::pin(join(&log, Uuid::new_v4()));
    let joined = tokio::time::timeout(Duration::from_secs(60), &mut joining).await;
    assert!(joined.is_err(), "it waits as long as the log is away");
    log.set_away(false);
    joining.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clock_is_held_to_the_stamps() {
    let log = FaultyLog::plain(1);
    let skew_ms: Arc<AtomicI64> = Arc::default();
    let clock = clock(&log, &skew_ms);
    let nodes = Nodes::join(parts(&log, Uuid::new_v4(), clock.clone())).await.unwrap();
    let bound = i64::try_from(CLOCK_BOUND.as_micros()).unwrap();
    let ahead = || clock.now().micros() - log.clock_ms() * 1_000;
    for (skew, off, may_claim, given) in [
        (0, 0, true, 0),
        (1_900, 1_900_000, true, 1_900_000),
        (3_600_000, 3_600_000_000, false, bound),
        (-1_900, -1_900_000, true, -1_900_000),
        (-3_600_000, -3_600_000_000, false, -3_600_000_000),
        (0, 0, true, 0),
    ] {
        skew_ms.store(skew, Ordering::Relaxed);
        // Before the next heartbeat nothing is known, and yet it does not run away.
        assert!(ahead() <= bound, "{skew}");
        // With the second one the first has been read back.
        more(&log, 2).await;
        assert_eq!((clock.off_micros(), clock.may_claim(), ahead()), (off, may_claim, given), "{skew}");
    }
    // With the log away time goes on.
    skew_ms.store(3_600_000, Ordering::Relaxed);
    log.set_away(true);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(ahead(), bound);
    drop(nodes);
}
