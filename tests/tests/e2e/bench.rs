//! The benches, for a moment each: that they measure what they say, and that nothing is counted that was not there.

use std::process::Stdio;

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Options, Server, WAIT, binary};
use tokio::process::Command;

/// Exit status, the last line of stdout, stderr.
async fn bench(url: &str, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary()).args(["bench", "--url", url]).args(args).stdin(Stdio::null()).output();
    let output = tokio::time::timeout(WAIT, output).await.expect("a bench of a moment ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let last = text(output.stdout).lines().last().unwrap_or_default().to_owned();
    (output.status.code().unwrap(), last, text(output.stderr))
}

/// The object of a bench that must succeed.
async fn good(url: &str, args: &[&str]) -> Value {
    let (status, last, stderr) = bench(url, args).await;
    assert_eq!(status, 0, "{args:?}: {stderr}");
    serde_json::from_str(&last).unwrap_or_else(|why| panic!("{args:?}: {why}: {last}"))
}

const MOMENT: [&str; 4] = ["--seconds", "0.5", "--warm-up", "0.1"];

/// A rate and times that are in order.
fn assert_figures(of: &Value) {
    let number = |name: &str| of[name].as_f64().unwrap_or_else(|| panic!("no {name} in {of}"));
    assert!(number("rate") > 0.0, "{of}");
    let times = ["p50_ms", "p99_ms", "p999_ms", "max_ms"].map(number);
    assert!(times[0] > 0.0 && times.is_sorted(), "{of}");
}

/// A server without limits, its team's owner, a file with their token and one more person's, and the channel of all.
async fn house(folder: &std::path::Path) -> (Server, Api, String, String) {
    let server = Server::with(Engine::Embedded, Options { unlimited: true, ..Options::default() }).await;
    let (ada, ada_id) = server.team("benched").await;
    let (bob, bob_id) = server.person(&ada, "bob").await;
    let file = folder.join("tokens");
    std::fs::write(&file, format!("{ada_id} {}\n{bob_id} {}\n", ada.token(), bob.token())).unwrap();
    let listed = ada.good("conversations.list", json!({})).await;
    let general = listed["channels"].as_array().unwrap().iter().find(|channel| channel["is_general"] == true);
    let general = general.unwrap()["id"].as_str().unwrap().to_owned();
    (server, ada, file.to_str().unwrap().to_owned(), general)
}

async fn posts_in(api: &Api, channel: &str) -> usize {
    api.history(channel).await.iter().filter(|message| message["subtype"].is_null()).count()
}

#[tokio::test]
async fn every_post_that_is_counted_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ada, tokens, general) = house(folder.path()).await;
    let args = [&["post", "--tokens", &tokens, "--in-flight", "8", "--json"], &MOMENT[..]].concat();
    let report = good(server.url(), &args).await;
    assert_figures(&report);
    assert_figures(&report["limits"]["append"]);
    assert_figures(&report["limits"]["handler"]);
    let rate = |of: &Value| of["rate"].as_f64().unwrap();
    let limits = [&report["limits"]["append"], &report["limits"]["handler"]].map(rate);
    let limit = limits[0].min(limits[1]);
    assert_eq!(report["limit_rate"], json!(limit));
    assert!((report["ratio"].as_f64().unwrap() - rate(&report) / limit).abs() < 0.001, "{report}");
    assert_eq!((&report["users"], &report["teams"], &report["engine"]), (&json!(2), &json!(1), &json!("embedded")));
    assert_eq!(report["server"], json!({ "cores": report["client"]["cores"], "on_the_clients_machine": true }));
    assert_eq!(report["posts_in_all"], json!(posts_in(&ada, &general).await));
    assert!(report["posts"].as_u64() < report["posts_in_all"].as_u64(), "{report}");
}

#[tokio::test]
async fn every_socket_hears_every_post_once() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ada, tokens, general) = house(folder.path()).await;
    let args = [&["fanout", "--tokens", &tokens, "--sockets", "5", "--in-flight", "4"], &MOMENT[..]].concat();
    let report = good(server.url(), &args).await;
    for figures in ["full_speed", "post_to_last"] {
        assert_figures(&report[figures]);
    }
    for limit in ["append", "write_to_all"] {
        assert_figures(&report["limits"][limit]);
    }
    for ratio in ["ratio", "ratio_to_flush_once", "p99_to_limits"] {
        assert!(report[ratio].as_f64().unwrap() > 0.0, "{ratio}: {report}");
    }
    let posts = report["posts_in_all"].as_u64().unwrap();
    assert_eq!(report["deliveries_in_all"].as_u64().unwrap(), 5 * posts);
    // One more told the bench how a frame looks.
    assert_eq!(posts_in(&ada, &general).await as u64, posts + 1);
}

#[tokio::test]
async fn who_begins_gets_the_whole_team_and_everybody_joins() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _ada, tokens, _) = house(folder.path()).await;
    let args = [&["boot", "--tokens", &tokens, "--sockets", "20", "--in-flight", "2"], &MOMENT[..]].concat();
    let report = good(server.url(), &args).await;
    assert_figures(&report);
    assert_figures(&report["limits"]["join"]);
    assert_eq!(report["sockets"], 20);
    for start in [&report["full"], &report["default"]] {
        for figures in ["full_speed", "even", "limit"] {
            assert_figures(&start[figures]);
        }
        assert_eq!((&start["is_lazy"], &start["users"]), (&json!(false), &json!(2)));
        assert!(start["bytes"].as_u64().unwrap() > 1000, "{start}");
    }
}

#[tokio::test]
async fn what_cannot_be_measured_is_said_by_a_status() {
    // With its limits on a server measures its limits.
    let server = Server::start(Engine::Embedded).await;
    let (status, _, said) = bench(server.url(), &["post", "--seconds", "5", "--users", "1"]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("[limits] enabled = false"), "{said}");
    for wrong in
        [&["post", "--in-flight", "0"][..], &["post", "--tokens", "/nonexistent"], &["post", "--replication", "3"]]
    {
        let (status, last, said) = bench(server.url(), wrong).await;
        assert_eq!((status, last.as_str()), (2, ""), "{wrong:?}: {said}");
    }
    let (status, last, said) = bench("http://127.0.0.1:1", &["boot"]).await;
    assert_eq!((status, last.as_str()), (3, ""), "{said}");
}
