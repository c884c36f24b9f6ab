//! A database server hangs: it is not gone, and does not answer.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use teamlog_tests::{Api, Engine, Options, Server, Stack, WAIT};

use crate::views::all_true;

/// Concurrent readers, and the reads of each.
const READERS: usize = 8;
const READS: usize = 40;

/// Each reader's waits. A thread is no page that is cached: every read asks a replica.
async fn read(ada: &Api, channel: &str, root: &str) -> Vec<Duration> {
    let reader = async || {
        let mut took = Vec::new();
        for _ in 0..READS {
            let since = Instant::now();
            let thread = ada.good("conversations.replies", json!({ "channel": channel, "ts": root })).await;
            took.push(since.elapsed());
            assert_eq!(thread["messages"][0]["text"], "root");
        }
        took
    };
    let mut took = join_all((0..READERS).map(|_| reader())).await.concat();
    took.sort_unstable();
    took
}

/// Reads until each breaker of the team's shard is closed, or one is not.
async fn read_until(server: &Server, ada: &Api, (channel, root): (&str, &str), all_closed: bool) {
    let since = Instant::now();
    while (server.metric("teamlog_replica_breaker").await == 0.0) != all_closed {
        assert!(since.elapsed() < WAIT, "all breakers closed: {}\n{}", !all_closed, server.log());
        ada.good("conversations.replies", json!({ "channel": channel, "ts": root })).await;
    }
}

/// Readers wait for a hedge, and not until the one that hangs has failed; later ones go elsewhere at once. Either server
/// is the one that is asked first when its turn comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_server_that_hangs_costs_readers_a_hedge() {
    let Some(stack) = Stack::lease().await else { return };
    let options = Options { unlimited: true, stack: Some(stack.config()), ..Options::default() };
    let server = Server::with(Engine::Stack, options).await;
    let (ada, _) = server.team("hangs").await;
    let made = ada.good("conversations.create", json!({ "name": "here" })).await;
    let here = made["channel"]["id"].as_str().unwrap();
    let root = ada.say(here, "root").await;
    let at = |took: &[Duration], part: f64| took[((took.len() - 1) as f64 * part) as usize];
    let before = read(&ada, here, &root).await;
    for dc in ["dc1", "dc2"] {
        let hung = stack.hang(dc);
        let took = read(&ada, here, &root).await;
        eprintln!(
            "{dc} hangs: p50 {:?}, p99 {:?}, slowest {:?}; before: p50 {:?}, p99 {:?}",
            at(&took, 0.5),
            at(&took, 0.99),
            at(&took, 1.0),
            at(&before, 0.5),
            at(&before, 0.99),
        );
        // Whoever waits for it to fail waits for 2 s, beside what a read takes on this machine.
        let usual = 4 * at(&before, 1.0);
        assert!(at(&took, 1.0) < Duration::from_secs(2) + usual, "{took:?}");
        assert!(at(&took, 0.99) < Duration::from_secs(1) + usual, "{took:?}");
        read_until(&server, &ada, (here, &root), false).await;
        drop(hung);
        read_until(&server, &ada, (here, &root), true).await;
    }
    assert!(server.metric("teamlog_replica_hedges_total").await >= 1.0);
    all_true(&server).await;
}
