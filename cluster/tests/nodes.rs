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
use futures::FutureExt;
use teamlog_cluster::{CLOCK_BOUND, Clock, JoinError, Membership, NodeParts, Nodes, Role, SILENT_AFTER};
use teamlog_log::{
    Log, NewRecord, Offset, Partition, Stamp, TopicPartition,
    testing::{Faults, FaultyLog},
};
use teamlog_schemas::{Event, NodeBeat, Ts};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use uuid::Uuid;

/// A clock that is `skew_ms` ahead of the log's.
fn clock(log: &Arc<FaultyLog>, skew_ms: &Arc<AtomicI64>) -> Clock {
    let (log, skew_ms) = (log.clone(), skew_ms.clone());
    Clock::new(move || Ts::from_micros((log.clock_ms() + skew_ms.load(Ordering::Relaxed)) * 1_000))
}

fn parts(log: &Arc<FaultyLog>, node: Uuid, clock: Clock) -> NodeParts {
    role(log, node, Role::Serve, clock)
}

fn role(log: &Arc<FaultyLog>, node: Uuid, role: Role, clock: Clock) -> NodeParts {
    let address = format!("http://{node}");
    NodeParts {
        log: log.clone(),
        node,
        role,
        address,
        url: None,
        views: vec!["mains".to_owned()],
        kinds: Vec::new(),
        clock,
    }
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
        let (url, serving, may_claim, schemas, writes, views) = (None, true, true, vec![], vec![], vec![]);
        let kinds = Vec::new();
        let beat =
            NodeBeat { node, life, at, role, address, url, version, schemas, writes, views, kinds, serving, may_claim };
        Event::from(beat).encode()
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
    assert!(Duration::from_millis(500) <= waited && waited < Duration::from_millis(2_000), "{waited:?}");
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
    log.set_unavailable(true);
    let mut joining = Box::pin(join(&log, Uuid::new_v4()));
    let joined = tokio::time::timeout(Duration::from_secs(60), &mut joining).await;
    assert!(joined.is_err(), "it waits as long as the log is away");
    log.set_unavailable(false);
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
    log.set_unavailable(true);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(ahead(), bound);
    drop(nodes);
}

/// A node of a role that may be chosen.
async fn placed(log: &Arc<FaultyLog>, of: Role) -> (Uuid, Nodes) {
    skewed(log, of, &Arc::default()).await
}

/// Joins a node of this role whose clock is `skew_ms` ahead, and lets it take part in placement.
async fn skewed(log: &Arc<FaultyLog>, of: Role, skew_ms: &Arc<AtomicI64>) -> (Uuid, Nodes) {
    let node = Uuid::new_v4();
    let nodes = Nodes::join(role(log, node, of, clock(log, skew_ms))).await.unwrap();
    nodes.take_part(true);
    (node, nodes)
}

/// Ends once a node's table says so.
async fn until(nodes: &Nodes, is_so: impl FnMut(&Arc<Membership>) -> bool) -> Arc<Membership> {
    let mut table: watch::Receiver<_> = nodes.members();
    tokio::time::timeout(Duration::from_secs(60), table.wait_for(is_so)).await.expect("in time").unwrap().clone()
}

fn owners(table: &Membership) -> Vec<Option<Uuid>> {
    let owner = |number| table.owner(TopicPartition::events(Partition(number))).map(|peer| peer.node);
    (0..64).map(owner).collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_see_the_same_table_and_share_what_there_is_to_do() {
    let log = FaultyLog::plain(1);
    let since = Instant::now();
    let (one, first) = placed(&log, Role::Ingest).await;
    let (other, second) = placed(&log, Role::Ingest).await;
    let (_, gateway) = placed(&log, Role::Gateway).await;
    assert!(since.elapsed() < Duration::from_millis(200), "roles do not wait for each other: {:?}", since.elapsed());
    let both = |table: &Arc<Membership>| {
        let mut owners = owners(table);
        owners.sort();
        owners.dedup();
        owners.len() == 2
    };
    let tables = [until(&first, both).await, until(&second, both).await, until(&gateway, both).await];
    assert_eq!(owners(&tables[0]), owners(&tables[1]));
    assert_eq!(owners(&tables[0]), owners(&tables[2]));
    let share = owners(&tables[0]).into_iter().filter(|owner| *owner == Some(one)).count();
    assert!((16..=48).contains(&share), "{share} of 64");
    // Who leaves is passed over at once, and is still there.
    first.take_part(false);
    let since = Instant::now();
    let left = until(&gateway, |table| owners(table).iter().all(|owner| *owner == Some(other))).await;
    assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
    assert_eq!(left.peers().len(), 3);
    first.leave().await;
    until(&gateway, |table| table.peers().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_clock_is_wrong_is_passed_over_by_all_until_it_is_right() {
    let log = FaultyLog::plain(1);
    let skew_ms: Arc<AtomicI64> = Arc::default();
    let (one, first) = skewed(&log, Role::Ingest, &skew_ms).await;
    let (other, second) = placed(&log, Role::Ingest).await;
    let (_, gateway) = placed(&log, Role::Gateway).await;
    let all = [&first, &second, &gateway];
    let owns = |table: &Arc<Membership>, node| owners(table).contains(&Some(node));
    let hour_ms = 3_600_000;
    for skew in [hour_ms, -hour_ms] {
        for nodes in all {
            until(nodes, |table| owns(table, one) && owns(table, other)).await;
        }
        skew_ms.store(skew, Ordering::Relaxed);
        for nodes in all {
            until(nodes, |table| owners(table).iter().all(|owner| *owner == Some(other))).await;
        }
        skew_ms.store(0, Ordering::Relaxed);
    }
    for nodes in all {
        until(nodes, |table| owns(table, one)).await;
    }
    // Where it is the only one that could write, it stays the one.
    skew_ms.store(hour_ms, Ordering::Relaxed);
    second.leave().await;
    for nodes in [&first, &gateway] {
        until(nodes, |table| owners(table).iter().all(|owner| *owner == Some(one))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_is_seen_and_a_log_that_was_away_is_none() {
    let log = FaultyLog::plain(1);
    let (_, gateway) = placed(&log, Role::Gateway).await;
    let (ingest, nodes) = placed(&log, Role::Ingest).await;
    let is_owner = |table: &Arc<Membership>| owners(table)[0] == Some(ingest);
    until(&gateway, is_owner).await;
    log.set_unavailable(true);
    tokio::time::advance(Duration::from_secs(30)).await;
    log.set_unavailable(false);
    let mut table = gateway.members();
    table.mark_unchanged();
    more(&log, 6).await;
    assert!(!table.has_changed().unwrap(), "the last table stands: {:?}", table.borrow());
    // It dies without a word: the heartbeats of who is left go on.
    let life = nodes.members().borrow().peers().iter().find(|peer| peer.node == ingest).unwrap().life;
    drop(nodes);
    beat(&log, ingest, Some(life)).await;
    let since = Instant::now();
    until(&gateway, |table| owners(table)[0].is_none()).await;
    assert!(since.elapsed() <= SILENT_AFTER + Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_role_does_not_start_beside_a_server_of_everything() {
    let log = FaultyLog::plain(1);
    let serve = Uuid::new_v4();
    let _serve = join(&log, serve).await.unwrap();
    let gateway = role(&log, Uuid::new_v4(), Role::Gateway, clock(&log, &Arc::default()));
    let Err(JoinError::Taken { node, .. }) = Nodes::join(gateway).await else { panic!("two of them") };
    assert_eq!(node, serve);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_again_after_a_failure_moves_nothing() {
    let log = FaultyLog::plain(1);
    let (_, gateway) = placed(&log, Role::Gateway).await;
    let (ingest, _nodes) = placed(&log, Role::Ingest).await;
    until(&gateway, |table| owners(table)[0] == Some(ingest)).await;
    // More than a reader hands over at once.
    more(&log, 1_100).await;
    let mut table = gateway.members();
    table.mark_unchanged();
    log.set_unavailable(true);
    tokio::time::advance(Duration::from_secs(1)).await;
    log.set_unavailable(false);
    more(&log, 6).await;
    assert!(!table.has_changed().unwrap(), "the last table stands: {:?}", table.borrow());
}

#[tokio::test(start_paused = true)]
async fn of_two_lives_of_one_node_the_newer_one_is_the_node() {
    let log = FaultyLog::plain(1);
    let (_, gateway) = placed(&log, Role::Gateway).await;
    let node = Uuid::new_v4();
    let older = beats(&log, node);
    more(&log, 4).await;
    let newer = beats(&log, node);
    more(&log, 4).await;
    let mut table = gateway.members();
    table.mark_unchanged();
    more(&log, 20).await;
    assert!(!table.has_changed().unwrap(), "it is one of the two for good: {:?}", table.borrow());
    older.abort();
    newer.abort();
}

fn life_of(nodes: &Nodes, node: Uuid) -> Option<Uuid> {
    nodes.members().borrow().peers().iter().find(|peer| peer.node == node).map(|peer| peer.life)
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_under_one_id_the_later_one_is_refused_and_the_other_one_stays_the_node() {
    let log = FaultyLog::plain(1);
    let (_, gateway) = placed(&log, Role::Gateway).await;
    let (node, first) = placed(&log, Role::Ingest).await;
    let life = life_of(&first, node).unwrap();
    // Its data directory was copied.
    let copy = role(&log, node, Role::Ingest, clock(&log, &Arc::default()));
    let second = Nodes::join(NodeParts { address: "http://copy".to_owned(), ..copy }).await.unwrap();
    second.take_part(true);
    let since = Instant::now();
    let why = tokio::time::timeout(Duration::from_secs(60), second.refused()).await.expect("in time");
    assert!(since.elapsed() < SILENT_AFTER + Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(why, JoinError::Twin { node, life, address: format!("http://{node}") });
    assert_eq!(owners(&second.members().borrow())[0], None, "it takes part no longer");
    second.leave().await;

    until(&gateway, |table| table.peers().iter().any(|peer| peer.life == life)).await;
    more(&log, 20).await;
    assert_eq!(first.refused().now_or_never(), None);
    assert_eq!((life_of(&first, node), life_of(&gateway, node)), (Some(life), Some(life)));
    let records = log.records(TopicPartition::NODES);
    assert!(records.iter().all(|record| record.value.is_some()), "somebody said goodbye in the node's name");
}

#[tokio::test(start_paused = true)]
async fn what_a_former_life_had_in_flight_refuses_nobody() {
    let log = FaultyLog::plain(1);
    let (node, former) = (Uuid::new_v4(), Uuid::new_v4());
    beat(&log, node, Some(former)).await;
    let nodes = join(&log, node).await.unwrap();
    // Before a log that is away, and behind it.
    beat(&log, node, Some(former)).await;
    beat(&log, node, Some(former)).await;
    log.set_unavailable(true);
    tokio::time::advance(Duration::from_secs(30)).await;
    log.set_unavailable(false);
    beat(&log, node, Some(former)).await;
    tokio::select! {
        why = nodes.refused() => panic!("{why}"),
        () = more(&log, 20) => {}
    }
}
