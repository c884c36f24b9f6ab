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
    let fanout = ["fanout", "--tokens", &tokens, "--sockets", "5", "--in-flight", "4", "--server-cpus", "0"];
    let report = good(server.url(), &[&fanout[..], &MOMENT].concat()).await;
    assert_eq!(report["server"]["cores"], 1);
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
async fn who_begins_gets_the_whole_team() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _ada, tokens, _) = house(folder.path()).await;
    let args = [&["boot", "--tokens", &tokens, "--in-flight", "2"], &MOMENT[..]].concat();
    let report = good(server.url(), &args).await;
    assert_eq!(report["per_second"], 100.0);
    for start in [&report["full"], &report["default"]] {
        for figures in ["full_speed", "even", "limit"] {
            assert_figures(&start[figures]);
        }
        assert_eq!((&start["is_lazy"], &start["users"]), (&json!(false), &json!(2)));
        assert!(start["bytes"].as_u64().unwrap() > 1000, "{start}");
    }
}

#[tokio::test]
async fn everybody_joins_at_once_and_time_is_held_against_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _ada, tokens, _) = house(folder.path()).await;
    let args = ["reconnect", "--tokens", &tokens, "--sockets", "40,10", "--rounds", "2"];
    let report = good(server.url(), &args).await;
    let sizes = report["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 2);
    let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or_else(|| panic!("no {name} in {of}"));
    for (size, sockets) in sizes.iter().zip([10, 40]) {
        assert_figures(size);
        assert_figures(&size["limits"]["join"]);
        assert_eq!((&size["sockets"], &size["joined"]), (&json!(sockets), &json!(sockets)));
        let [server, stub] = [size, &size["limits"]["join"]].map(|of| number(of, "join_seconds"));
        assert!((number(size, "ratio") - server / stub).abs() < 0.5 * server / stub, "{size}");
    }
    let grown = number(&sizes[1], "join_seconds") / number(&sizes[0], "join_seconds") / 4.0;
    assert!((number(&report, "growth") - grown).abs() < 0.5 * grown, "{report}");
    assert_eq!(report["sockets"], 40);
    // Of each size one round more, which does not count, and one call that told the stub how answers look.
    let calls = r#"teamlog_api_calls_total{method="rtm.connect",result="ok"} "#;
    let metrics = server.metrics().await;
    assert_eq!(metrics.lines().find_map(|line| line.strip_prefix(calls)), Some("151"), "{metrics}");
}

#[tokio::test]
async fn idle_sockets_are_charged_with_what_a_process_grew_by() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _ada, tokens, _) = house(folder.path()).await;
    let run: Value =
        serde_json::from_slice(&std::fs::read(server.data_dir().join("run/server.json")).unwrap()).unwrap();
    let pid = run["pid"].to_string();
    let report = good(server.url(), &["idle", "--tokens", &tokens, "--sockets", "600", "--pid", &pid]).await;
    assert_figures(&report);
    assert_eq!((&report["sockets"], &report["users"]), (&json!(600), &json!(2)));
    let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or_else(|| panic!("no {name} in {of}"));
    for memory in [&report["memory"], &report["limits"]["stub"]] {
        let grown = number(memory, "resident_bytes_with") - number(memory, "resident_bytes_before");
        // Each has 4 KiB of buffer and more; pages that others left free are none that grew.
        assert!(grown > 600.0 * 1024.0, "{report}");
        assert!((number(memory, "bytes_a_socket") - grown / 600.0).abs() < 0.01, "{report}");
    }
    let ratio = number(&report["memory"], "bytes_a_socket") / number(&report["limits"]["stub"], "bytes_a_socket");
    assert!((number(&report, "ratio") - ratio).abs() < 0.01, "{report}");
    // Which process a server that was named is, nobody can tell.
    let (status, _, said) = bench(server.url(), &["idle", "--tokens", &tokens]).await;
    assert!(status == 2 && said.contains("--pid"), "{status} {said}");
}

#[tokio::test]
async fn what_was_posted_is_found_and_searches_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ada, tokens, general) = house(folder.path()).await;
    let sought = ["search", "--tokens", &tokens, "--in-flight", "2", "--queries", "grue,two words", "--messages", "7"];
    let report = good(server.url(), &[&sought[..], &MOMENT].concat()).await;
    assert_figures(&report);
    assert_figures(&report["limits"]["handler"]);
    let ratio = report["rate"].as_f64().unwrap() / report["limits"]["handler"]["rate"].as_f64().unwrap();
    assert!((report["ratio"].as_f64().unwrap() - ratio).abs() < 0.001, "{report}");
    let found: Vec<_> = report["queries"].as_array().unwrap().iter().map(|q| (&q["query"], &q["found"])).collect();
    assert_eq!(found, [(&json!("grue"), &json!(7)), (&json!("two words"), &json!(7))]);
    assert_eq!(posts_in(&ada, &general).await, 14);
}

#[tokio::test]
async fn a_shard_is_built_beside_itself_and_its_rows_are_written_by_inserts() {
    for engine in Engine::all() {
        let server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let (ada, _) = server.team(&format!("built-{}", uuid::Uuid::new_v4().simple())).await;
        let listed = ada.good("conversations.list", json!({})).await;
        for number in 0..50 {
            let args = json!({ "channel": listed["channels"][0]["id"], "text": format!("message {number}") });
            ada.good("chat.postMessage", args).await;
        }
        let (status, said) = server.run(&["bench", "rebuild", "--json"]).await;
        assert_eq!(status, 0, "{said}");
        let last = said.lines().find(|line| line.starts_with('{')).unwrap();
        let report: Value = serde_json::from_str(last).unwrap();
        let replicas = report["replicas"].as_array().unwrap();
        let database = if engine == Engine::Stack { "mysql" } else { "sqlite" };
        // On the stack there is a second shard that this team does not lie on.
        let (on_it, empty) = if engine == Engine::Stack { (2, 2) } else { (1, 0) };
        assert_eq!((replicas.len(), &report["nearly_empty"]), (on_it, &json!(empty)), "{said}");
        for replica in replicas {
            assert_figures(replica);
            assert_eq!(replica["database"], database);
            let number = |of: &Value| of.as_f64().unwrap_or_else(|| panic!("{replica}"));
            assert!(number(&replica["rows"]) > 50.0 && number(&replica["entries"]) > 50.0, "{replica}");
            let ratio = number(&replica["rate"]) / number(&replica["limits"]["inserts_rate"]);
            assert!((number(&replica["ratio"]) - ratio).abs() < 0.001, "{replica}");
            assert!(number(&report["ratio"]) <= number(&replica["ratio"]), "the worst one counts: {report}");
        }
        let (status, said) = server.run(&["bench", "rebuild", "search"]).await;
        assert!(status == 2 && said.contains("in a database"), "{status} {said}");
        // What is read is still the old one, and true.
        let (status, said) = server.run(&["view", "verify"]).await;
        assert_eq!(status, 0, "{said}");
    }
}

#[tokio::test]
async fn a_start_is_timed_to_a_page_that_was_posted_before() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().to_str().unwrap();
    let args = ["start", "--events", "300", "--starts", "2", "--scratch", scratch];
    // It needs no server; the address leads nowhere.
    let report = good("http://127.0.0.1:1", &args).await;
    assert_figures(&report);
    assert_figures(&report["limits"]["empty_log"]);
    let half = |of: &Value| of["p50_ms"].as_f64().unwrap();
    let ratio = half(&report) / half(&report["limits"]["empty_log"]);
    assert!((report["ratio"].as_f64().unwrap() - ratio).abs() < 0.01, "{report}");
    assert_eq!((&report["events"], &report["starts"]), (&json!(300), &json!(2)));
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "its folders are gone");
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
