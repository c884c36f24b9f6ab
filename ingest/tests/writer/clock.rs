//! Clocks that are off: what a node with one claims, and what `ts` it gives out.

use std::sync::atomic::AtomicI64;

use teamlog_cluster::{NodeParts, Nodes, Role};

use super::*;

/// A clock that is `skew_ms` ahead of the log's stamps, and a process that compares it with them.
async fn compared(log: &Arc<FaultyLog>, skew_ms: &Arc<AtomicI64>) -> (Clock, Nodes) {
    let (broker, skew_ms) = (log.clone(), skew_ms.clone());
    let clock = Clock::new(move || Ts::from_micros((broker.clock_ms() + skew_ms.load(Ordering::Relaxed)) * 1_000));
    let (node, address) = (Uuid::new_v4(), String::new());
    let parts = NodeParts {
        log: log.clone(),
        node,
        role: Role::Serve,
        url: None,
        views: Vec::new(),
        kinds: Vec::new(),
        address,
        clock: clock.clone(),
    };
    (clock, Nodes::join(parts).await.unwrap())
}

const HOUR_MS: i64 = 3_600_000;
/// The bound is 2 s, and whatever a heartbeat takes on its way to the log.
const LIMIT_MS: i64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_claims_nothing_until_it_is_right() {
    let log = FaultyLog::plain(PARTITIONS);
    for (life, skew) in [HOUR_MS, -HOUR_MS].into_iter().enumerate() {
        let skew_ms = Arc::new(AtomicI64::new(skew));
        let (clock, _nodes) = compared(&log, &skew_ms).await;
        let before = log.records(TopicPartition::DIRECTORY).len();
        let node = Node::with_clock(&log, clock);
        // Longer than a writer takes for its first tries.
        let founded = node.ingest.found_cluster(Duration::from_secs(1)).await;
        assert!(founded.is_err(), "{founded:?}");
        // In its second life it finds the claims of its first.
        node.ingest.teams().wait_for(Partition(0), Offset(life as u64)).await.unwrap();
        assert_eq!(node.ingest.teams().position(Partition(0)).epoch, life as u64);
        assert_eq!((node.ingest.writes(), node.ingest.writes_directory()), (vec![], false));
        assert_eq!(log.records(TopicPartition::DIRECTORY).len(), before, "it claimed");

        skew_ms.store(0, Ordering::Relaxed);
        make_team(&node, &format!("team{life}")).await;
        until(async || node.ingest.writes().len() == PARTITIONS as usize).await;
        assert!(node.ingest.writes_directory());
        node.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_runs_away_adds_no_more_than_its_bound_to_a_ts() {
    let log = FaultyLog::plain(PARTITIONS);
    let skew_ms: Arc<AtomicI64> = Arc::default();
    let (clock, _nodes) = compared(&log, &skew_ms).await;
    let node = Node::with_clock(&log, clock.clone());
    let (team, ada, general) = make_team(&node, "acme").await;
    let posted =
        async |text| match node.ingest.submit_by_team(request(team, Some(ada), None, post(general, text))).await {
            Answer::Acked(acked) => acked.event.given_ts(),
            answer => panic!("{answer:?}"),
        };
    let right = posted("right").await;
    skew_ms.store(HOUR_MS, Ordering::Relaxed);
    let ahead = posted("ahead").await;
    let limit = Ts::from_micros((log.clock_ms() + LIMIT_MS) * 1_000);
    assert!(right < ahead && ahead <= limit, "{right} {ahead} {limit}");
    // Known to be off, it goes on with what it has claimed.
    until(async || !clock.may_claim()).await;
    let known = posted("known").await;
    let limit = Ts::from_micros((log.clock_ms() + LIMIT_MS) * 1_000);
    assert!(ahead < known && known <= limit, "{ahead} {known} {limit}");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_ts_that_is_ahead_it_goes_on_by_microseconds() {
    let log = FaultyLog::plain(PARTITIONS);
    let broker = log.clone();
    // Nobody compares this one with the stamps, as before there were heartbeats.
    let node = Node::with_clock(&log, Clock::new(move || Ts::from_micros((broker.clock_ms() + HOUR_MS) * 1_000)));
    let (team, ada, general) = make_team(&node, "acme").await;
    let text = |text| request(team, Some(ada), None, post(general, text));
    let Answer::Acked(acked) = node.ingest.submit_by_team(text("ahead")).await else { panic!("not posted") };
    let last = acked.event.given_ts();
    node.end().await;

    let (clock, _nodes) = compared(&log, &Arc::default()).await;
    let node = Node::with_clock(&log, clock);
    let mut given = Vec::new();
    while given.len() < 2 {
        match node.ingest.submit_by_team(text("right")).await {
            Answer::Acked(acked) => given.push(acked.event.given_ts()),
            // It has not read the directory, or not claimed yet.
            Answer::Refused(Refusal::TeamNotFound) | Answer::NotAccepted { .. } => tokio::task::yield_now().await,
            answer => panic!("{answer:?}"),
        }
    }
    assert_eq!(given, [last.next(), last.next().next()]);
    node.end().await;
}
