//! A clock against the stamps of real brokers: `make test` starts them and sets `TEAMLOG_TEST_KAFKA=host:port`.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use teamlog_cluster::{CLOCK_BOUND, Clock, NodeParts, Nodes};
use teamlog_log::{KafkaConfig, KafkaLog, Log};
use teamlog_schemas::Ts;
use uuid::Uuid;

const SECOND: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_is_held_to_the_brokers() {
    let Ok(brokers) = std::env::var("TEAMLOG_TEST_KAFKA") else {
        return eprintln!("left out: TEAMLOG_TEST_KAFKA is not set");
    };
    let prefix = format!("test-{}.", Uuid::now_v7().simple());
    let log = KafkaLog::connect(KafkaConfig { brokers, prefix, partitions: 1, ..KafkaConfig::default() }).unwrap();
    log.create_topics().await.unwrap();
    let shared: Arc<dyn Log> = log.clone();
    // The same node again and again, so that nobody waits for its former life.
    let node = Uuid::new_v4();
    for (skew, may_claim) in [(0, true), (3_600 * SECOND, false), (-3_600 * SECOND, false)] {
        let clock = Clock::new(move || Ts::from_micros(Clock::system().now().micros() + skew));
        let (log, address) = (shared.clone(), String::new());
        let nodes = Nodes::join(NodeParts {
            log,
            node,
            role: teamlog_cluster::Role::Serve,
            url: None,
            views: Vec::new(),
            kinds: Vec::new(),
            address,
            clock: clock.clone(),
        })
        .await
        .unwrap();
        let off = clock.off_micros();
        assert_eq!(clock.may_claim(), may_claim, "{skew}: {off}");
        // Less the time that the heartbeat took, if that cannot be told from a clock that is off.
        assert!((off - skew).abs() < 30 * SECOND, "{skew}: {off}");
        let bound = i64::try_from(CLOCK_BOUND.as_micros()).unwrap();
        let ahead = clock.now().micros() - Clock::system().now().micros();
        assert!(ahead <= skew.min(bound + 30 * SECOND), "{skew}: {ahead}");
        nodes.leave().await;
    }
    log.close().await;
}
