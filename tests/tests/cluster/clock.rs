//! A node whose clock is ten minutes fast: it claims nothing, and nobody misses it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use teamlog_tests::{Api, Cluster};
use tokio::time::timeout;

use crate::{PATIENCE, log};

const WRONG: &str = "ingest1";
const OFF_SECONDS: i64 = 600;
/// The largest accepted error of a `ts`. A clock with a larger error is not trusted.
const BOUND_SECONDS: f64 = 2.0;
/// On level ERROR, for a person must set the clock.
const COMPLAINT: &str = "this node's clock is not the brokers'";
/// The pause between two looks at a node's `/readyz`.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

struct Team {
    ada: Api,
    channel: String,
    partition: u32,
}

impl Team {
    async fn new(cluster: &Cluster) -> Team {
        let (ada, _) = cluster.api().team(&format!("clock-{}", uuid::Uuid::new_v4().simple())).await;
        let channel = ada.good("conversations.create", serde_json::json!({ "name": "here" })).await;
        let channel = channel["channel"]["id"].as_str().unwrap().to_owned();
        let team = ada.good("auth.test", serde_json::json!({})).await;
        let partition = Cluster::partition(team["team_id"].as_str().unwrap());
        Team { ada, channel, partition }
    }

    /// Teams until there is one that this node writes.
    async fn of(cluster: &Cluster, owner: &str) -> Team {
        loop {
            let team = Team::new(cluster).await;
            if cluster.owner(team.partition) == owner {
                return team;
            }
        }
    }

    /// Posts, each with a `ts` of its time.
    async fn talk(&self, when: &str) {
        for number in 0..10 {
            let (text, before) = (format!("{when} {number}"), now());
            let ts: f64 = self.ada.say_at_last(&self.channel, &text).await.parse().unwrap();
            let after = now();
            let is_of_its_time = (before - BOUND_SECONDS..=after + BOUND_SECONDS).contains(&ts);
            assert!(is_of_its_time, "{text}: {ts} is not between {before} and {after}");
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Waits until the node knows the error of its clock, and returns its `/readyz`.
async fn once_it_knows(cluster: &Cluster) -> Value {
    let url = format!("{}/readyz", cluster.address(WRONG));
    let known = async {
        loop {
            if let Ok(answer) = reqwest::get(&url).await {
                let said: Value = answer.json().await.unwrap();
                if said["parts"]["clock"]["may_claim"] == false {
                    return said;
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, known).await.expect("the node says that its clock is wrong")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_wrong_claims_nothing_and_is_not_missed() {
    let Some(cluster) = Cluster::lease_linked(&[COMPLAINT]).await else { return };
    let (others, its_own) = (Team::of(&cluster, "ingest2").await, Team::of(&cluster, WRONG).await);
    cluster.stop(&[WRONG]).await;
    let since = log::described(&cluster, its_own.partition).await;
    cluster.start_with_clock_off(WRONG, OFF_SECONDS).await;
    let said = once_it_knows(&cluster).await;
    let off = said["parts"]["clock"]["off_seconds"].as_f64().unwrap();
    assert!(off > OFF_SECONDS as f64 / 2.0, "{said}");
    others.talk("while a clock is wrong").await;
    its_own.talk("while its clock is wrong").await;
    let said = once_it_knows(&cluster).await;
    assert_eq!(said["parts"]["log"]["claimed"], 0, "{said}");
    assert_eq!(said["parts"]["log"]["directory_claimed"], false, "{said}");

    cluster.stop(&[WRONG]).await;
    let until = log::described(&cluster, its_own.partition).await;
    let (_, claims) = log::read(&cluster, its_own.partition, until.end).await;
    let node = cluster.node(WRONG);
    let is_wrong = |claim: &log::Claim| claim.node == node && claim.offset >= since.end;
    assert!(!claims.iter().any(is_wrong), "a node whose clock is wrong claimed a partition");

    assert!(cluster.log(WRONG).contains(COMPLAINT));
    cluster.start(&[WRONG]).await;
    its_own.talk("once its clock is right").await;
}
