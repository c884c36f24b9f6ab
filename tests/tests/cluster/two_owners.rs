//! Two nodes that both believe for a minute that they own a partition. One of them does not reach the broker that leads the
//! heartbeats: it hears nobody, so what it knew last stands, and nobody hears it, so another one is chosen. The broker that
//! leads the partition is another, and the node reads and writes there as before.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use teamlog_tests::{Cluster, Trouble};
use tokio::{process::Command, time::timeout};

use crate::{PATIENCE, log};

const LASTS: Duration = Duration::from_secs(60);
const NODES: &str = "teamlog.nodes";
const BROKERS: [u64; 3] = [1, 2, 3];
/// The pause between two looks at the leaders.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(crate) async fn for_a_minute(cluster: &Cluster, partition: u32) {
    let (deaf, before) = log::written_by_its_owner(cluster, partition).await;
    let broker = lead_the_heartbeats_elsewhere(cluster, partition).await;
    let disturbed = cluster.disturb(std::slice::from_ref(&deaf), &[format!("kafka{broker}")], Trouble::Cut);
    tokio::time::sleep(LASTS).await;
    drop(disturbed);
    let claims = log::was_taken_over(cluster, partition, &before, &deaf).await;
    let (node, other) = (cluster.node(&deaf), cluster.node(log::other_than(&deaf)));
    // Back and forth, from the first time that it was taken over on.
    let turns = claims.iter().skip_while(|claim| claim.node != other).filter(|claim| claim.node == node).count();
    eprintln!("{deaf} did not reach kafka{broker}; taken over, it claimed {turns} times");
    assert!(turns > 1, "{deaf} did not go on to believe that it owned the partition");
}

/// Moves the leadership of the heartbeats to a broker that does not lead the partition and will not. Returns that broker.
async fn lead_the_heartbeats_elsewhere(cluster: &Cluster, partition: u32) -> u64 {
    let of_partition = Leads::of(cluster, log::EVENTS, partition).await;
    let taken = [Some(of_partition.leader), of_partition.replicas.first().copied()];
    let broker = BROKERS.into_iter().find(|broker| !taken.contains(&Some(*broker))).unwrap();
    let mut replicas = BROKERS;
    replicas.sort_by_key(|one| *one != broker);
    let plan = json!({ "version": 1, "partitions": [{ "topic": NODES, "partition": 0, "replicas": replicas }] });
    let file = cluster.data_dir("operator").with_file_name("reassignment.json");
    tokio::fs::write(&file, plan.to_string()).await.unwrap();
    let file = file.to_str().unwrap();
    let reassign = ["--execute", "--reassignment-json-file", file];
    let elect = ["--election-type", "preferred", "--topic", NODES, "--partition", "0"];
    let led = async {
        while Leads::of(cluster, NODES, 0).await.leader != broker {
            // Kafka refuses both while a replica is not in sync, as after a broker's crash.
            kafka(cluster, "reassign.ReassignPartitionsCommand", &reassign).await;
            kafka(cluster, "LeaderElectionCommand", &elect).await;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, led).await.expect("the heartbeats get another leader");
    broker
}

/// The leader of a partition and its replicas, the preferred leader first.
struct Leads {
    leader: u64,
    replicas: Vec<u64>,
}

impl Leads {
    async fn of(cluster: &Cluster, topic: &str, partition: u32) -> Leads {
        let told: Value = serde_json::from_str(&log::kcat(cluster, &["-L", "-J", "-t", topic]).await).unwrap();
        let partitions = told["topics"][0]["partitions"].as_array().unwrap();
        let one = partitions.iter().find(|one| one["partition"] == partition).unwrap();
        let replicas = one["replicas"].as_array().unwrap().iter().map(|replica| replica["id"].as_u64().unwrap());
        Leads { leader: one["leader"].as_u64().unwrap_or(0), replicas: replicas.collect() }
    }
}

/// Runs one of Kafka's own tools, and ignores its outcome.
async fn kafka(cluster: &Cluster, tool: &str, args: &[&str]) {
    let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka/libs/*");
    let mut java = Command::new("java");
    java.arg("-cp").arg(jars).arg(format!("org.apache.kafka.tools.{tool}"));
    java.args(["--bootstrap-server", &log::broker(cluster)]).args(args).kill_on_drop(true);
    let output = java.output().await.unwrap();
    if !output.status.success() {
        eprintln!("{tool}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
