//! Processes end in the middle of their work, are replaced, and go on although they were.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use teamlog_log::{
    Log,
    testing::{Faults, FaultyLog},
};

use crate::house::{Birth, echoed, echoes, logs, patient, until};

/// Messages are answered while processes are killed at any moment.
async fn once_each(log: Arc<dyn Log>, seed: u64) -> BTreeSet<String> {
    let mut node = Birth::of(log.clone(), patient()).start();
    let outside = node.outside.clone();
    let crew = node.make_team("acme").await;
    node.begun().await;
    let mut said = BTreeSet::new();
    for round in 0..4 {
        for number in 0..10 {
            let text = format!("say {round}/{number}");
            // One whose outcome is not known when its process dies is said again by the next one: same key.
            while !node.say(&crew, &text).await {}
            said.insert(text);
        }
        // In the middle of that work, at another place in each round and run.
        for _ in 0..(seed as usize * 7 + round * 13) % 50 {
            tokio::task::yield_now().await;
        }
        node.crash();
        node = Birth::of(log.clone(), patient()).with(&outside).start();
    }
    let wanted = echoes(&said).len();
    until("every message is answered", async || echoed(&log).await.len() == wanted).await;
    node.end().await;
    let runs = outside.runs.lock().len();
    assert!(runs >= wanted, "each piece runs at least once");
    assert_eq!(echoed(&log).await, echoes(&said), "seed {seed}: not each answer exactly once");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_effect_in_the_log_happens_once_although_processes_die() {
    for (log, _folder) in logs().await {
        once_each(log, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_effect_in_the_log_happens_once_over_a_faulty_log() {
    for seed in 0..4 {
        once_each(FaultyLog::new(2, Faults::chaos(seed)), seed).await;
    }
}

/// Two processes follow the same partitions all the time, as where their tables of each other differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_work_at_once_repeat_each_other_and_do_no_harm() {
    let log: Arc<dyn Log> = FaultyLog::plain(2);
    let writer = Birth::of(log.clone(), patient()).start();
    let crew = writer.make_team("acme").await;
    writer.begun().await;
    let other = Birth::of(log.clone(), patient()).with(&writer.outside).start();
    other.begun().await;
    let said: BTreeSet<String> = (0..20).map(|number| format!("say {number}")).collect();
    for text in &said {
        assert!(writer.say(&crew, text).await);
    }
    let wanted = echoes(&said);
    until("every message is answered", async || echoed(&log).await.len() == wanted.len()).await;
    writer.end().await;
    other.end().await;
    assert_eq!(echoed(&log).await, wanted);
}

/// A process that was paused writes how far it once was after others went on: they repeat, and leave out nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_word_of_one_that_was_replaced_repeats_and_leaves_out_nothing() {
    let log = FaultyLog::plain(2);
    let dynamic: Arc<dyn Log> = log.clone();
    let node = Birth::of(dynamic.clone(), patient()).start();
    let outside = node.outside.clone();
    let crew = node.make_team("acme").await;
    node.begun().await;
    let progress = teamlog_log::TopicPartition { topic: teamlog_log::Topic::Progress, partition: crew.partition };
    let said: BTreeSet<String> = (0..5).map(|number| format!("say {number}")).collect();
    for text in &said {
        assert!(node.say(&crew, text).await);
    }
    let wanted = echoes(&said);
    until("every message is answered", async || echoed(&dynamic).await.len() == wanted.len()).await;
    node.end().await;
    let words = log.records(progress);
    let (first, last) = (words.first().unwrap().clone(), words.last().unwrap().clone());
    assert_ne!(first.value, last.value, "it came further");
    let again = teamlog_log::NewRecord {
        key: words[1].key.clone(),
        // The second one is not the word of a beginning.
        value: words[1].value.clone(),
        stamp: teamlog_log::Stamp::Absent,
        writer: None,
        traceparent: None,
    };
    dynamic.append(progress, vec![again]).await;
    outside.runs.lock().clear();
    let node = Birth::of(dynamic.clone(), patient()).with(&outside).start();
    let more = "say more".to_owned();
    assert!(node.say(&crew, &more).await);
    let wanted = echoes(said.iter().chain([&more]));
    until("the last message is answered", async || echoed(&dynamic).await.len() == wanted.len()).await;
    until("the others were run again", async || outside.runs.lock().len() >= wanted.len()).await;
    node.end().await;
    assert_eq!(echoed(&dynamic).await, wanted);
}

/// Work that was done after a job that hangs, in log order, is not repeated by the next process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_done_ahead_of_what_hangs_is_not_repeated() {
    let log: Arc<dyn Log> = FaultyLog::plain(2);
    let node = Birth::of(log.clone(), patient()).start();
    let outside = node.outside.clone();
    let crew = node.make_team("acme").await;
    node.begun().await;
    outside.fates.lock().insert("say first".to_owned(), crate::house::Fate::Fails);
    assert!(node.say(&crew, "say first").await);
    let said: BTreeSet<String> = (0..5).map(|number| format!("say {number}")).collect();
    for text in &said {
        assert!(node.say(&crew, text).await);
    }
    let wanted = echoes(&said);
    until("all but the first are answered", async || echoed(&log).await.len() == wanted.len()).await;
    // That it is written takes a second at the most; here the stop does it.
    node.end().await;
    outside.runs.lock().clear();
    outside.fates.lock().clear();
    let node = Birth::of(log.clone(), patient()).with(&outside).start();
    until("the first is answered", async || echoed(&log).await.len() == wanted.len() + 2).await;
    tokio::time::timeout(Duration::from_secs(60), node.end()).await.unwrap();
    let runs = outside.runs.lock().clone();
    assert!(runs.iter().all(|(text, _)| text == "say first"), "{runs:?}");
}
