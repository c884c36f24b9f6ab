//! Sessions that connect, are cut off and reconnect receive a run of the history: no hole, no double, the order kept, and
//! nothing of a conversation of which the person was not a member at that event.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use teamlog_tests::{
    Engine, Options, Server, size,
    world::{Size, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_hears_a_run_of_the_history() {
    for engine in Engine::all() {
        let seed = size("SEED", rand::random::<u32>() as usize) as u64;
        let size = Size {
            people: size("TEAMLOG_TEST_GAP_PEOPLE", 50),
            sessions: size("TEAMLOG_TEST_GAP_SESSIONS", 200),
            // More than wait for a socket and fit into its buffers come to some of them, whatever conversations they are in.
            slow: 16,
            writers: 8,
            movers: 3,
            outsiders: 6,
            public: 2,
            private: 4,
            messages: size("TEAMLOG_TEST_GAP_MESSAGES", 1_400),
            pause: Duration::ZERO,
        };
        eprintln!("{engine:?}: SEED={seed}, {size:?}");
        let began = Instant::now();
        let server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let world = Arc::new(World::new(&[server.url()], size, false).await);
        let runs = world.run(seed, async {}).await;
        let judge = world.judge().await;
        assert_eq!(judge.posts().len(), world.acknowledged().len());
        judge.check_all(&runs);
        eprintln!("{engine:?}: {} runs, {} frames, {:?}", runs.len(), judge.frames(&runs), began.elapsed());
        let overflows = server.metric("teamlog_rtm_overflows_total").await;
        eprintln!("{engine:?}: {overflows} sessions were too slow");
        assert!(overflows > 0.0, "{engine:?}: no session was too slow");
    }
}
