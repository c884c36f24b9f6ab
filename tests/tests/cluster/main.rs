//! A cluster loses its parts one after another while people talk: nothing acknowledged is lost or doubled, no session has a gap,
//! nobody hears what is not for them; and how long nobody could post is told.
#![allow(clippy::unwrap_used)]

mod faults;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use teamlog_tests::{
    Cluster, size,
    world::{Size, World},
};

use faults::{Fault, Stalls};

/// How often each fault happens.
const TIMES: usize = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_nobody_misses_anything() {
    let Some(cluster) = Cluster::lease(&[]).await else { return };
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
    let mut faults: Vec<Fault> = (0..times).flat_map(|_| Fault::ALL).collect();
    faults.shuffle(&mut rng);
    let mut stalls = Stalls::watch(world.posted());
    let happening = async {
        let mut posted = world.posted();
        for fault in faults {
            let moment = *posted.borrow() + rng.random_range(50..150);
            posted.wait_for(|posted| *posted >= moment).await.unwrap();
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
