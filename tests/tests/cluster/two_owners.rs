//! Two nodes that both believe for a minute that they own a partition. One of them does not reach the broker that leads the
//! heartbeats: it hears nobody, so what it knew last stands, and nobody hears it, so another one is chosen. The broker that
//! leads the partition is another, and the node reads and writes there as before.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use teamlog_tests::{Cluster, Trouble};
use tokio::{process::Command, time::timeout};

use crate::{PATIENCE, log};

const LASTS: Duration = Duration::from_secs(60);
const EVENTS: &str = "teamlog.events";
const NODES: &str = "teamlog.nodes";
const BROKERS: [u64; 3] = [1, 2, 3];
/// Between two looks at who leads.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(crate) async fn for_a_minute(cluster: &Cluster, partition: u32) {
    let (deaf, before) = log::written_by_its_owner(cluster, partition).await;
    let other = if deaf == "ingest1" { "ingest2" } else { "ingest1" };
    let broker = lead_the_heartbeats_elsewhere(cluster, partition).await;
    let disturbed = cluster.disturb(std::slice::from_ref(&deaf), &[format!("kafka{broker}")], Trouble::Cut);
    tokio::time::sleep(LASTS).await;
    drop(disturbed);
    log::was_taken_over(cluster, partition, &before, other).await;
    let after = log::described(cluster, partition).await;
    let (_, claims) = log::read(cluster, partition, after.end).await;
    let by = |part: &str| {
        let node = cluster.node(part);
        claims.iter().filter(|claim| claim.offset >= before.end && claim.node == node).count()
    };
    eprintln!("{deaf} did not reach kafka{broker}; it claimed {} times, and {other} {}", by(&deaf), by(other));
    assert!(by(&deaf) > 0, "{deaf} did not believe that it owned the partition");
}

/// Has another broker lead the heartbeats than the one that leads the partition, or is to lead it: which one.
async fn lead_the_heartbeats_elsewhere(cluster: &Cluster, partition: u32) -> u64 {
    let of_partition = Leads::of(cluster, EVENTS, partition).await;
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
            // Either is refused while a replica is not in step, as after a broker's crash.
            kafka(cluster, "reassign.ReassignPartitionsCommand", &reassign).await;
            kafka(cluster, "LeaderElectionCommand", &elect).await;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, led).await.expect("the heartbeats get another leader");
    broker
}

/// Who leads a partition, and who could: first who should.
struct Leads {
    leader: u64,
    replicas: Vec<u64>,
}

impl Leads {
    async fn of(cluster: &Cluster, topic: &str, partition: u32) -> Leads {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &broker(cluster), "-L", "-J", "-t", topic]).kill_on_drop(true);
        let output = kcat.output().await.unwrap();
        assert!(output.status.success(), "{kcat:?}: {}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let partitions = told["topics"][0]["partitions"].as_array().unwrap();
        let one = partitions.iter().find(|one| one["partition"] == partition).unwrap();
        let replicas = one["replicas"].as_array().unwrap().iter().map(|replica| replica["id"].as_u64().unwrap());
        Leads { leader: one["leader"].as_u64().unwrap_or(0), replicas: replicas.collect() }
    }
}

/// One of Kafka's own tools, whatever comes of it.
async fn kafka(cluster: &Cluster, tool: &str, args: &[&str]) {
    let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka/libs/*");
    let mut java = Command::new("java");
    java.arg("-cp").arg(jars).arg(format!("org.apache.kafka.tools.{tool}"));
    java.args(["--bootstrap-server", &broker(cluster)]).args(args).kill_on_drop(true);
    let output = java.output().await.unwrap();
    if !output.status.success() {
        eprintln!("{tool}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Where anybody but the roles calls the first broker.
fn broker(cluster: &Cluster) -> String {
    format!("127.0.0.1:{}", cluster.port("kafka1"))
}
