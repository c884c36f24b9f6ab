//! Work that fails for good: it is found, retried and dropped, and stops nothing else.

use std::sync::{Arc, atomic::Ordering};

use teamlog_consumers::{JobBudget, Letter};
use teamlog_log::{Log, testing::FaultyLog};

use crate::house::{Birth, Fate, Node, echoed, echoes, logs, patient, quick, until};

fn why(letters: &[Letter]) -> Vec<(u32, u32, &str)> {
    letters.iter().map(|letter| (letter.id.number, letter.tries, letter.why.as_str())).collect()
}

async fn letters(node: &Node, count: usize) -> Vec<Letter> {
    until("there are so many dead letters", async || node.letters().len() == count).await;
    node.letters()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_good_is_a_dead_letter_that_can_be_retried_and_dropped() {
    for (log, _folder) in logs().await {
        let node = Birth::of(log.clone(), quick()).start();
        let (crew, outside) = (node.make_team("acme").await, node.outside.clone());
        node.begun().await;
        outside.fates.lock().insert("say bad".to_owned(), Fate::Fails);
        outside.fates.lock().insert("say worse".to_owned(), Fate::Never);
        outside.fates.lock().insert("say worst".to_owned(), Fate::Panics);
        for text in ["say bad", "say worse", "say worst", "say good"] {
            assert!(node.say(&crew, text).await);
        }
        let found = letters(&node, 6).await;
        let mut said = why(&found);
        said.sort_unstable();
        let all = |number| [(number, 1, "told to"), (number, 3, "it panicked"), (number, 3, "told to")];
        assert_eq!(said, [all(0), all(1)].concat());
        assert!(found.iter().all(|letter| letter.team == crew.team && letter.partition == crew.partition));
        assert_eq!(echoed(&log).await, echoes(&["say good".to_owned()]), "what works is not held up");

        // They are there for the next process, and what they settled is not run again.
        node.end().await;
        outside.runs.lock().clear();
        let node = Birth::of(log.clone(), quick()).with(&outside).start();
        assert_eq!(letters(&node, 6).await, found);

        // One that fails again is a dead letter again, and counts its tries.
        let ledger = node.runner.ledger().clone();
        let bad: Vec<_> = found.iter().filter(|letter| letter.tries == 3 && letter.why == "told to").collect();
        assert!(ledger.retry(&bad[0].id).await.unwrap());
        until("it failed again", async || {
            ledger.letter(&bad[0].id).is_some_and(|letter| letter.tries == 6 && !letter.is_retried)
        })
        .await;
        assert_eq!(outside.runs.lock().len(), 3, "nothing else ran");

        // What was mended works, once, and is no dead letter any more.
        outside.fates.lock().clear();
        for letter in &bad {
            assert!(ledger.retry(&letter.id).await.unwrap());
        }
        assert_eq!(letters(&node, 4).await.len(), 4);
        let wanted = echoes(&["say good".to_owned(), "say bad".to_owned()]);
        assert_eq!(echoed(&log).await, wanted);

        for letter in node.letters() {
            assert!(ledger.drop_letter(&letter.id).await.unwrap());
            assert!(!ledger.drop_letter(&letter.id).await.unwrap(), "it is gone");
            assert!(!ledger.retry(&letter.id).await.unwrap(), "it is gone");
        }
        node.end().await;
        let node = Birth::of(log.clone(), quick()).with(&outside).start();
        node.begun().await;
        assert!(node.say(&crew, "say last").await);
        until("the last one is answered", async || echoed(&log).await.len() == wanted.len() + 2).await;
        assert_eq!(node.letters(), []);
        node.end().await;
    }
}

/// A retry is in the log, so it is seen to by whoever follows the partition, whenever that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_outlives_the_process_that_it_was_asked_of() {
    let log: Arc<dyn Log> = FaultyLog::plain(2);
    let node = Birth::of(log.clone(), quick()).start();
    let (crew, outside) = (node.make_team("acme").await, node.outside.clone());
    node.begun().await;
    outside.fates.lock().insert("say bad".to_owned(), Fate::Never);
    assert!(node.say(&crew, "say bad").await);
    let found = letters(&node, 2).await;
    // A process that runs nothing, as a gateway.
    let desk = Birth::of(log.clone(), quick()).start();
    desk.mine.send_replace(Default::default());
    assert_eq!(letters(&desk, 2).await, found);
    node.end().await;
    outside.fates.lock().clear();
    for letter in &found {
        assert!(desk.runner.ledger().retry(&letter.id).await.unwrap());
    }
    let node = Birth::of(log.clone(), quick()).with(&outside).start();
    assert_eq!(letters(&desk, 0).await, []);
    assert_eq!(echoed(&log).await, echoes(&["say bad".to_owned()]));
    node.end().await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_at_which_the_consumer_panics_is_a_dead_letter() {
    let log: Arc<dyn Log> = FaultyLog::plain(2);
    let node = Birth::of(log.clone(), quick()).start();
    let crew = node.make_team("acme").await;
    node.begun().await;
    for text in ["say unreadable", "say good"] {
        assert!(node.say(&crew, text).await);
    }
    let found = letters(&node, 1).await;
    assert_eq!(why(&found), [(0, 0, "the consumer panics at this event")]);
    until("what is after it is answered", async || echoed(&log).await.len() == 2).await;
    assert!(node.runner.ledger().retry(&found[0].id).await.unwrap());
    until("it cannot be retried", async || {
        node.letters().iter().any(|letter| letter.why.contains("no such work") && !letter.is_retried)
    })
    .await;
    node.end().await;
}

/// The number of jobs that wait for a retry is bounded. At the bound the oldest is given up, and other work continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_and_waits_is_bounded() {
    let log: Arc<dyn Log> = FaultyLog::plain(2);
    let retry = teamlog_consumers::RetryPolicy { first: std::time::Duration::from_secs(600), ..patient().retry };
    let node = Birth::of(log.clone(), JobBudget { held_max: 4, retry, ..patient() }).start();
    let (crew, outside) = (node.make_team("acme").await, node.outside.clone());
    node.begun().await;
    for number in 0..5 {
        let text = format!("say {number}");
        outside.fates.lock().insert(text.clone(), Fate::Fails);
        assert!(node.say(&crew, &text).await);
    }
    let found = letters(&node, 6).await;
    assert!(found.is_sorted_by_key(|letter| letter.offset), "the oldest first");
    assert!(node.say(&crew, "say good").await);
    until("what works is answered", async || echoed(&log).await.len() == 2).await;
    assert_eq!(node.letters().len(), 6);
    assert_eq!(outside.running.load(Ordering::SeqCst), 0);
    node.end().await;
}
