//! The server is killed in the middle of everything, again and again: what was acknowledged is there, once, under its
//! `ts`, and no session has a gap.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use teamlog_tests::{
    Engine, Options, Server, size,
    world::{Size, World},
};

/// Acknowledgements between two kills.
const BETWEEN: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_by_kills() {
    let kills = size("TEAMLOG_TEST_KILLS", 20);
    for engine in Engine::all() {
        let seed = size("SEED", rand::random::<u32>() as usize) as u64;
        let size = Size {
            people: 50,
            sessions: size("TEAMLOG_TEST_KILLS_SESSIONS", 200),
            slow: 0,
            writers: 8,
            movers: 3,
            outsiders: 6,
            public: 2,
            private: 4,
            messages: (kills + 1) * BETWEEN,
            pause: Duration::ZERO,
        };
        eprintln!("{engine:?}: SEED={seed}, {kills} kills, {size:?}");
        let began = Instant::now();
        let mut server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let world = Arc::new(World::new(&[server.url()], size, true).await);
        let killing = async {
            let mut posted = world.posted();
            for kill in 1..=kills {
                posted.wait_for(|posted| *posted >= kill * BETWEEN).await.unwrap();
                server.restart().await;
                world.moved_to(server.url());
            }
        };
        let runs = world.run(seed, killing).await;
        let messages = world.check(&runs, &format!("{engine:?}")).await;
        for check in [["view", "verify"], ["log", "verify"]] {
            let (status, said) = server.run(&check).await;
            assert_eq!(status, 0, "{engine:?}: {check:?}: {said}");
        }
        eprintln!("{engine:?}: {messages} messages, {} runs, {:?}", runs.len(), began.elapsed());
    }
}
