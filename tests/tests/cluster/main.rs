//! A cluster loses its parts one after another, and what connects them, while people talk: nothing acknowledged is lost or
//! doubled, no session has a gap, nobody hears what is not for them; and how long nobody could post is told.
#![allow(clippy::unwrap_used)]

mod clock;
mod faults;
mod log;
mod mid_batch;
mod scheduled;
mod stalls;
mod two_owners;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use teamlog_tests::{
    Cluster, size,
    world::{Size, World},
};

use faults::Fault;
use stalls::Stalls;

/// How long anything may take that is waited for here. Generous, for brokers and databases start again on busy machines: it
/// is only ever used up by a failure.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often each part's fault happens; `TEAMLOG_TEST_FAULTS` sets another number.
const TIMES: usize = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_nobody_misses_anything() {
    let Some(cluster) = Cluster::lease_linked(&[]).await else { return };
    let seed = size("SEED", rand::random::<u32>() as usize) as u64;
    let times = size("TEAMLOG_TEST_FAULTS", TIMES);
    let size = Size {
        people: 40,
        sessions: size("TEAMLOG_TEST_FAULTS_SESSIONS", 60),
        slow: 0,
        writers: 8,
        movers: 2,
        outsiders: 6,
        public: 2,
        private: 3,
        messages: 1_000,
        pause: Duration::from_millis(100),
    };
    eprintln!("SEED={seed}, each fault {times} times, {size:?}");
    let began = Instant::now();
    let urls: Vec<&str> = cluster.gateways().iter().map(String::as_str).collect();
    let world = Arc::new(World::new(&urls, size, true).await);
    let partition = Cluster::partition(world.team());
    let mut rng = StdRng::seed_from_u64(seed);
    let faults = Fault::plan(times, &mut rng);
    let mut stalls = Stalls::watch(world.posted());
    let happening = async {
        for fault in faults {
            stalls.posted_more(rng.random_range(50..150)).await;
            fault.happen(&cluster, partition, &mut rng, &mut stalls).await;
        }
    };
    let runs = world.run(seed, happening).await;
    stalls.tell();
    let messages = world.check(&runs, "the cluster").await;
    for check in [
        &["log", "verify"][..],
        &["view", "verify", "mains"],
        &["view", "verify", "shard s1"],
        &["view", "verify", "shard s2"],
    ] {
        let (status, said) = cluster.command(check).await;
        assert_eq!(status, 0, "{check:?}: {said}");
    }
    eprintln!("{messages} messages, {} runs, {:?}", runs.len(), began.elapsed());
}
