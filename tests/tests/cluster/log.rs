//! Compares the output of `teamlog log describe` with the records themselves, as `kcat` reads them. The fence of
//! `docs/protocol.md` is implemented here a second time, so that the two share no code.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use teamlog_tests::Cluster;
use tokio::process::Command;
use uuid::Uuid;

use crate::PATIENCE;

/// The topic of events, as the stack calls it.
pub(crate) const EVENTS: &str = "teamlog.events";

/// The pause between two looks at a partition's writer.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The content of a partition below `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) end: u64,
    epoch: u64,
    claims: u64,
    counted: u64,
    void: u64,
}

/// A claim that counts.
pub(crate) struct Claim {
    pub(crate) offset: u64,
    /// The node that wrote the claim.
    pub(crate) node: Uuid,
}

/// Returns the address at which clients that are not roles reach the first broker.
pub(crate) fn broker(cluster: &Cluster) -> String {
    format!("127.0.0.1:{}", cluster.port("kafka1"))
}

/// Runs `kcat` and returns its output.
pub(crate) async fn kcat(cluster: &Cluster, args: &[&str]) -> String {
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", &broker(cluster)]).args(args).kill_on_drop(true);
    let output = kcat.output().await.unwrap();
    assert!(output.status.success(), "{kcat:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `teamlog log describe` and returns its description of a partition.
pub(crate) async fn described(cluster: &Cluster, partition: u32) -> Described {
    let (status, said) = cluster.command(&["log", "describe", "--json"]).await;
    assert_eq!(status, 0, "{said}");
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let name = format!("events/{partition}");
    let one =
        lines.into_iter().find(|line| line["partition"] == *name).unwrap_or_else(|| panic!("no {name} in {said}"));
    let number = |field: &str| one[field].as_u64().unwrap_or_else(|| panic!("{field} in {one}"));
    Described {
        end: number("end"),
        epoch: number("epoch"),
        claims: number("claims"),
        counted: number("counted"),
        void: number("void"),
    }
}

/// Reads the records below `end`, and returns the description that follows from them, and the claims among them.
pub(crate) async fn read(cluster: &Cluster, partition: u32, end: u64) -> (Described, Vec<Claim>) {
    let (partition, count) = (partition.to_string(), end.to_string());
    let from = ["-C", "-t", EVENTS, "-p", &partition, "-o", "beginning"];
    let said = kcat(cluster, &[&from[..], &["-c", &count, "-e", "-q", "-f", r"%o %h\n"]].concat()).await;
    let (mut seen, mut claims) = (Described { end: 0, epoch: 0, claims: 0, counted: 0, void: 0 }, Vec::new());
    let (mut log_id, mut next_seq) = (None, Some(0));
    for line in said.lines() {
        let (offset, headers) = line.split_once(' ').unwrap();
        let offset: u64 = offset.parse().unwrap();
        let headers: HashMap<&str, &str> = headers.split(',').filter_map(|header| header.split_once('=')).collect();
        let number = |name: &str| headers.get(name).and_then(|value| value.parse::<u64>().ok());
        seen.end = offset + 1;
        if headers.contains_key("claim") {
            let of = headers["log_id"].to_owned();
            // F1 and F2.
            if number("epoch") == Some(seen.epoch + 1) && *log_id.get_or_insert_with(|| of.clone()) == of {
                (seen.epoch, next_seq) = (seen.epoch + 1, Some(0));
                seen.claims += 1;
                claims.push(Claim { offset, node: headers["writer"].parse().unwrap() });
            } else {
                seen.void += 1;
            }
        } else if number("epoch") == Some(seen.epoch) && number("seq").is_some() && number("seq") == next_seq {
            // F3.
            next_seq = next_seq.map(|seq| seq + 1);
            seen.counted += 1;
        } else {
            // F4: records after a gap do not count.
            if number("epoch") == Some(seen.epoch) && number("seq") > next_seq {
                next_seq = None;
            }
            seen.void += 1;
        }
    }
    (seen, claims)
}

/// Waits until the partition is written by the process that should write it, and returns this process and the command's
/// description. After a fault another process may write it for a while.
pub(crate) async fn written_by_its_owner(cluster: &Cluster, partition: u32) -> (String, Described) {
    let written = async {
        loop {
            let part = cluster.owner(partition);
            let before = described(cluster, partition).await;
            let (_, claims) = read(cluster, partition, before.end).await;
            if claims.last().is_some_and(|claim| claim.node == cluster.node(&part)) {
                return (part, before);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("whoever should write the partition claims it")
}

/// The `ingest` process that is not this one.
pub(crate) fn other_than(ingest: &str) -> &'static str {
    if ingest == "ingest1" { "ingest2" } else { "ingest1" }
}

/// Checks that the other node has claimed the partition since, and that the command shows it. Returns the claims since.
pub(crate) async fn was_taken_over(cluster: &Cluster, partition: u32, before: &Described, from: &str) -> Vec<Claim> {
    let by = other_than(from);
    let after = described(cluster, partition).await;
    let (seen, mut claims) = read(cluster, partition, after.end).await;
    assert_eq!(after, seen, "what the command says, and what there is");
    let node = cluster.node(by);
    claims.retain(|claim| claim.offset >= before.end);
    assert!(
        claims.iter().any(|claim| claim.node == node),
        "{by} claimed nothing behind {before:?}, which then came to {after:?}"
    );
    eprintln!("{by} took over; {} records more are void", after.void - before.void);
    claims
}
