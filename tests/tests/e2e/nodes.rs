//! At most one server writes a log at a time, and shards keep their teams.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use teamlog_tests::{Engine, Options, Server, WAIT};

/// The log lines of a server that claims a partition, and of one that waits until another server is silent.
const WRITES: &str = "this node writes the partition";
const WAITS: &str = "waiting for it to fall silent";

/// With the embedded log the lock on the data directory does it all.
fn on_kafka() -> bool {
    Engine::all().contains(&Engine::Stack)
}

async fn readyz(server: &Server) -> Value {
    reqwest::get(format!("{}/readyz", server.url())).await.unwrap().json().await.unwrap()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[tokio::test]
async fn a_second_server_names_the_first_and_leaves_it_alone() {
    if !on_kafka() {
        return;
    }
    let server = Server::start(Engine::Stack).await;
    let (ada, _) = server.team("first").await;
    let claims = count(&server.log(), WRITES);
    let parts = readyz(&server).await["parts"].clone();
    assert_eq!(parts["log"]["claimed"], parts["log"]["partitions"]);
    assert_eq!(claims, 1 + usize::try_from(parts["log"]["partitions"].as_u64().unwrap()).unwrap());
    assert_eq!(parts["clock"]["may_claim"], true, "{parts}");

    let elsewhere = tempfile::tempdir().unwrap();
    let second = ["serve", "--listen", "127.0.0.1:0", "--data-dir", elsewhere.path().to_str().unwrap()];
    let (status, said) = server.run(&second).await;
    assert_eq!(status, 2, "{said}");
    let node = fs::read_to_string(server.data_dir().join("node-id")).unwrap();
    for part in [WAITS, "is on this log", node.trim(), server.url()] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert_eq!(count(&said, WRITES), 0, "the second one claimed: {said}");

    let metrics = reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    let live = |count: u32| metrics.contains(&format!("teamlog_nodes_live{{role=\"serve\"}} {count}\n"));
    assert!(live(1) || live(2), "{metrics}");
    assert!(metrics.contains("teamlog_clock_off_seconds 0"), "{metrics}");

    ada.say("#general", "still here").await;
    assert_eq!(count(&server.log(), WRITES), claims, "the first one had to claim again: {}", server.log());
}

#[tokio::test]
async fn a_process_on_a_copy_of_a_data_directory_names_the_first_and_leaves_it_alone() {
    if !on_kafka() {
        return;
    }
    let options = Options { expected_errors: vec!["under this node's id"], ..Options::default() };
    let server = Server::with(Engine::Stack, options).await;
    let (ada, _) = server.team("twin").await;
    let copy = tempfile::tempdir().unwrap();
    fs::copy(server.data_dir().join("node-id"), copy.path().join("node-id")).unwrap();
    let second = ["serve", "--listen", "127.0.0.1:0", "--data-dir", copy.path().to_str().unwrap()];
    let (status, said) = server.run(&second).await;
    assert_eq!(status, 2, "{said}");
    let node = fs::read_to_string(server.data_dir().join("node-id")).unwrap();
    for part in ["under this node's id", node.trim(), server.url()] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    server.ready().await;
    ada.say("#general", "still here").await;
}

#[tokio::test]
async fn after_a_kill_a_server_goes_on_here_at_once_and_elsewhere_after_a_silence() {
    if !on_kafka() {
        return;
    }
    let mut server = Server::start(Engine::Stack).await;
    let (ada, _) = server.team("killed").await;
    let said = ada.say("#general", "before").await;
    let find = async |server: &Server| {
        let ada = ada.at(server.url());
        let general = ada.good("conversations.list", json!({})).await["channels"][0]["id"].clone();
        ada.history(general.as_str().unwrap()).await.iter().any(|message| message["ts"] == said.as_str())
    };
    server.restart().await;
    assert!(find(&server).await);
    assert_eq!(count(&server.log(), WAITS), 0, "it waited for itself: {}", server.log());

    server.kill();
    fs::rename(server.data_dir(), server.data_dir().with_extension("old")).unwrap();
    server.restart().await;
    assert!(find(&server).await);
    assert_eq!(count(&server.log(), WAITS), 1, "{}", server.log());

    // After a clean shutdown no server waits.
    server.stop().await;
    fs::remove_dir_all(server.data_dir()).unwrap();
    server.restart().await;
    assert!(find(&server).await);
    assert_eq!(count(&server.log(), WAITS), 1, "{}", server.log());
}

/// The log line of a server that notices another one that writes.
const TWO: &str = "another node serves this log too";

async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !met().await {
        assert!(since.elapsed() < WAIT, "{what} does not come to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn signal(name: &str, pid: &Value) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_server_that_was_replaced_while_it_was_paused_says_so_and_nothing_is_lost() {
    if !on_kafka() {
        return;
    }
    let options = Options { expected_errors: vec![TWO], ..Options::default() };
    let mut server = Server::with(Engine::Stack, options).await;
    let (ada, _) = server.team("paused").await;
    let mut said = vec![ada.say("#general", "before").await];
    let told = |data: &Path| {
        let told = fs::read(data.join("run/server.json")).unwrap_or_default();
        serde_json::from_slice::<Value>(&told).unwrap_or_default()
    };
    let first = told(&server.data_dir())["pid"].clone();
    signal("-STOP", &first);

    let elsewhere = tempfile::tempdir().unwrap();
    let second = ["serve", "--listen", "127.0.0.1:0", "--data-dir", elsewhere.path().to_str().unwrap()];
    let meanwhile = async {
        until("a second server", async || {
            let Some(url) = told(elsewhere.path())["url"].as_str().map(str::to_owned) else { return false };
            reqwest::get(format!("{url}/readyz")).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        let told = told(elsewhere.path());
        let said = ada.at(told["url"].as_str().unwrap()).say("#general", "by the second").await;
        signal("-CONT", &first);
        until("the first one's complaint", async || server.log().contains(TWO)).await;
        // It gives its partitions up, and then they have them in turn.
        signal("-TERM", &told["pid"]);
        said
    };
    let ((status, text), second_said) = tokio::join!(server.run(&second), meanwhile);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains(WAITS), "{text}");
    said.push(second_said);

    server.ready().await;
    said.push(ada.say("#general", "after").await);
    server.restart().await;
    let ada = ada.at(server.url());
    let general = ada.good("conversations.list", json!({})).await["channels"][0]["id"].clone();
    let messages = ada.history(general.as_str().unwrap()).await;
    let there = messages.iter().filter(|message| message["subtype"].is_null());
    assert_eq!(there.map(|message| message["ts"].as_str().unwrap()).collect::<Vec<_>>(), said);
}

/// The source of a library that, once loaded before a program, sets the program's time an hour ahead.
const AN_HOUR_AHEAD: &str = "
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, id, at);
    if (!failed && id == CLOCK_REALTIME) at->tv_sec += 3600;
    return failed;
}
";

fn built(folder: &Path, source: &str) -> String {
    let (file, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&file, source).unwrap();
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&file).status().unwrap();
    assert!(status.success(), "{status}");
    library.to_str().unwrap().to_owned()
}

/// Returns true if a writer with the right time would have claimed by now.
async fn refused(server: &Server) -> bool {
    let Ok(metrics) = reqwest::get(format!("{}/metrics", server.url())).await else { return false };
    metrics.text().await.is_ok_and(|text| text.contains("teamlog_writer_clock_refusals_total"))
}

#[tokio::test]
async fn a_server_whose_clock_is_wrong_claims_nothing_and_says_so() {
    if !on_kafka() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let env = vec![("LD_PRELOAD", built(folder.path(), AN_HOUR_AHEAD))];
    let expected_errors = vec!["clock is not the brokers'"];
    let mut server = Server::prepare(Engine::Stack, Options { env, expected_errors, ..Options::default() }).await;
    server.start_unready().await;
    until("a writer that refuses to claim", async || refused(&server).await).await;
    let answer = reqwest::get(format!("{}/readyz", server.url())).await.unwrap();
    assert_eq!(answer.status(), 503);
    let parts = answer.json::<Value>().await.unwrap()["parts"].clone();
    assert_eq!(parts["log"]["claimed"], 0, "{parts}");
    let off = parts["clock"]["off_seconds"].as_f64().unwrap();
    assert!(parts["clock"]["may_claim"] == false && (3_590.0..3_610.0).contains(&off), "{parts}");
    assert_eq!(count(&server.log(), WRITES), 0, "it claimed: {}", server.log());
}

#[tokio::test]
async fn shards_that_would_lose_a_team_are_refused() {
    let expected_errors = vec!["lies on shard s1"];
    let mut server = Server::with(Engine::Embedded, Options { expected_errors, ..Options::default() }).await;
    let (ada, _) = server.team("acme").await;
    let said = ada.say("#general", "here").await;
    let partition = ada.good("teamlog.status", json!({})).await["partition"].as_u64().unwrap();
    server.stop().await;

    let data = server.data_dir();
    let shards = |names: &[&str]| {
        let shard = |name: &&str| {
            let replica = format!("sqlite://{}", data.join(format!("shard-{name}.sqlite")).display());
            toml::Table::from_iter([
                ("name".to_owned(), (*name).into()),
                ("replicas".to_owned(), toml::Value::Array(vec![replica.into()])),
            ])
        };
        names.iter().map(shard).collect::<Vec<_>>()
    };
    // Partitions fall to shards by turns, in the order of the names.
    let added = if partition % 2 == 0 { ["s0", "s1"] } else { ["s1", "s2"] };
    for (names, why) in [
        (&["renamed"][..], "team acme lies on shard s1, which is not among [[shards]] (renamed)"),
        (&added[..], "team acme lies on shard s1, but with these [[shards]] its partition"),
    ] {
        server.configure(|config| drop(config.insert("shards".to_owned(), shards(names).into())));
        let (status, text) = server.run(&["serve", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(status, 2, "{text}");
        assert!(text.contains(why), "{text}");
        assert_eq!(count(&text, WRITES), 0, "it claimed: {text}");
    }
    // Also if mains has lost its rows, so that only the log knows.
    for file in ["mains.sqlite", "mains.sqlite-wal", "mains.sqlite-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    let (status, text) = server.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("team acme lies on shard s1, but"), "{text}");

    server.configure(|config| drop(config.insert("shards".to_owned(), shards(&["s1"]).into())));
    server.restart().await;
    let ada = ada.at(server.url());
    let general = ada.good("conversations.list", json!({})).await["channels"][0]["id"].clone();
    assert!(ada.history(general.as_str().unwrap()).await.iter().any(|message| message["ts"] == said.as_str()));
}

#[tokio::test]
async fn a_server_with_another_cluster_key_is_refused_before_it_serves() {
    let server = Server::start(Engine::Embedded).await;
    server.team("acme").await;
    server.stop().await;
    let data = server.data_dir();
    fs::write(data.join("cluster.key"), "a key of some other cluster, long enough").unwrap();
    // Mains tells whose cluster it is, and the log does.
    for lost in [&[][..], &["mains.sqlite", "mains.sqlite-wal", "mains.sqlite-shm"]] {
        for file in lost {
            let _ = fs::remove_file(data.join(file));
        }
        let (status, text) = server.run(&["serve", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(status, 2, "{text}");
        assert!(text.contains("keys are not those of cluster"), "{text}");
        assert_eq!(count(&text, "teamlog serves"), 0, "{text}");
    }
}
