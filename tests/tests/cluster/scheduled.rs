//! A thousand messages are due while the partition's owner is killed, then the work nodes, then all processes at once: each is
//! posted once.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use teamlog_tests::{Api, Cluster, ROLES, size};

use crate::PATIENCE;

/// Messages that a conversation takes in five minutes.
const A_CHANNEL: usize = 30;
/// Seconds over which they are due.
const SPREAD: usize = 10;

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The messages of some channels, by their texts, with the `ts` of each.
async fn posted(api: &Api, channels: &[String]) -> HashMap<usize, Vec<f64>> {
    let mut posted: HashMap<usize, Vec<f64>> = HashMap::new();
    for channel in channels {
        let page = api.insist("conversations.history", json!({ "channel": channel, "limit": 200 }), "history").await;
        for message in page["messages"].as_array().unwrap() {
            if message["subtype"].is_null() {
                let ts = message["ts"].as_str().unwrap().parse().unwrap();
                posted.entry(message["text"].as_str().unwrap().parse().unwrap()).or_default().push(ts);
            }
        }
    }
    posted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_are_due_are_posted_once_whatever_is_killed() {
    let Some(cluster) = Cluster::lease_linked(&[]).await else { return };
    let messages = size("TEAMLOG_TEST_SCHEDULED", 1_000);
    let domain = format!("due{}", std::process::id());
    let (ada, _) = cluster.api().team(&domain).await;
    let me = ada.good("auth.test", json!({})).await;
    let partition = Cluster::partition(me["team_id"].as_str().unwrap());
    let mut channels = Vec::new();
    for number in 0..messages.div_ceil(A_CHANNEL) {
        let name = format!("channel{number}");
        let made: Value = ada.insist("conversations.create", json!({ "name": name }), &name).await;
        channels.push(made["channel"]["id"].as_str().unwrap().to_owned());
    }
    let due = seconds() + 60 + messages as u64 / 20;
    let due_of = |number: usize| due + (number % SPREAD) as u64;
    let ada_of = &ada;
    let schedule = |channel: String, numbers: std::ops::Range<usize>| async move {
        for number in numbers {
            let text = number.to_string();
            let args = json!({ "channel": channel, "text": text, "post_at": due_of(number) });
            ada_of.insist("chat.scheduleMessage", args, &text).await;
        }
    };
    let each = channels.iter().cloned().zip((0..messages).step_by(A_CHANNEL));
    futures::future::join_all(each.map(|(channel, from)| schedule(channel, from..(from + A_CHANNEL).min(messages))))
        .await;
    assert!(seconds() < due, "they took too long to schedule");

    let began = Instant::now();
    let when = async |share: f64| {
        while (posted(&ada, &channels).await.len() as f64) < share * messages as f64 {
            assert!(began.elapsed() < PATIENCE, "they are not posted");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    when(0.1).await;
    let owner = cluster.owner(partition);
    cluster.kill(&[&owner]).await;
    when(0.3).await;
    cluster.start(&[&owner]).await;
    cluster.kill(&["work1", "work2"]).await;
    when(0.5).await;
    cluster.kill(&ROLES).await;
    cluster.start(&ROLES).await;
    when(1.0).await;
    // By now a second post of a message would have happened.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let posted = posted(&ada, &channels).await;
    let wrong: Vec<_> = posted.iter().filter(|(_, all)| all.len() != 1).collect();
    assert!(posted.len() == messages && wrong.is_empty(), "{} of {messages}; not once: {wrong:?}", posted.len());
    let late: Vec<f64> = posted.iter().map(|(number, all)| all[0] - due_of(*number) as f64).collect();
    assert!(late.iter().all(|late| *late >= 0.0), "one is early");
    eprintln!("at most {:.1} s late", late.iter().copied().fold(0.0, f64::max));
    for check in [&["log", "verify"][..], &["view", "verify", "shard s1"], &["view", "verify", "shard s2"]] {
        let (status, said) = cluster.command(check).await;
        assert_eq!(status, 0, "{check:?}: {said}");
    }
}
