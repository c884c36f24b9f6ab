//! Where a consumer begins that has no position.

use std::{collections::BTreeSet, sync::Arc};

use teamlog_log::{Log, testing::FaultyLog};

use crate::house::{Birth, echoed, echoes, logs, patient, until};

/// A consumer does no work for events before its beginning. It does all work after it, even if it died before any was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_begins_at_the_end_and_leaves_out_nothing_from_then_on() {
    for (log, _folder) in logs().await {
        let writer = Birth::of(log.clone(), patient()).start();
        writer.begun().await;
        writer.mine.send_replace(BTreeSet::new());
        until("it follows nothing", async || writer.runner.status()[0].partitions == 0).await;
        let crew = writer.make_team("acme").await;
        let said = ["say one".to_owned(), "say two".to_owned()];
        for text in &said {
            assert!(writer.say(&crew, text).await);
        }
        writer.end().await;
        let node = Birth::of(log.clone(), patient()).start();
        let wanted = echoes(&said);
        until("what was said before it was started anew is answered", async || echoed(&log).await == wanted).await;
        node.end().await;
    }
}

/// A consumer that a new version of the program brings has nothing to do with what happened before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_before_it_began_is_left_alone() {
    for (log, _folder) in logs().await {
        let old = Birth { has_consumer: false, ..Birth::of(log.clone(), patient()) }.start();
        let crew = old.make_team("acme").await;
        assert!(old.say(&crew, "say old").await);
        old.end().await;
        let node = Birth::of(log.clone(), patient()).start();
        node.begun().await;
        assert!(node.say(&crew, "say new").await);
        until("what is new is answered", async || echoed(&log).await.len() == 2).await;
        node.end().await;
        assert_eq!(echoed(&log).await, echoes(&["say new".to_owned()]));
    }
}

/// Of two processes that begin it at once the first one's word counts for both, and for who comes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_begin_at_once_begin_at_one_place() {
    let log: Arc<dyn Log> = FaultyLog::plain(2);
    let nodes: Vec<_> = (0..4).map(|_| Birth::of(log.clone(), patient()).start()).collect();
    let crew = nodes[0].make_team("acme").await;
    for node in &nodes {
        node.begun().await;
    }
    assert!(nodes[0].say(&crew, "say it").await);
    for node in nodes {
        node.crash();
    }
    let node = Birth::of(log.clone(), patient()).start();
    until("it is answered", async || echoed(&log).await.len() == 2).await;
    node.end().await;
    assert_eq!(echoed(&log).await, echoes(&["say it".to_owned()]));
}
