//! Views meet a log that is not the one that they were built from.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Failure, Options, Server, WAIT};

use crate::views::{all_true, lines};

/// The log lines about partitions, views and teams that are no longer followed.
const STOPPED: [&str; 6] = [
    "a partition is not read on",
    "a view stops following a partition",
    "a writer stops",
    "are not followed any more",
    "is not followed any more",
    "log_rewritten",
];

fn options() -> Options {
    Options { unlimited: true, expected_errors: STOPPED.to_vec(), ..Options::default() }
}

/// The files of an embedded log.
const FILES: [&str; 3] = ["log.sqlite", "log.sqlite-wal", "log.sqlite-shm"];

fn take_log(from: &Path, to: &Path) {
    for file in FILES {
        let _ = fs::remove_file(to.join(file));
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

/// Waits until `/readyz` reports that the server is not ready, and returns the report.
async fn not_ready(server: &Server) -> Value {
    let since = Instant::now();
    loop {
        let answer = reqwest::get(format!("{}/readyz", server.url())).await.unwrap();
        let is_ready = answer.status() == 200;
        let said: Value = answer.json().await.unwrap();
        if !is_ready && said["parts"]["log"]["stopped"].is_string() {
            return said;
        }
        assert!(since.elapsed() < WAIT, "nothing has stopped: {said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Checks that no call that writes is accepted, and that callers are told to retry: the history may be wrong.
async fn expect_refusal(ada: &Api, here: &str) {
    for args in
        [json!({ "channel": here, "text": "no" }), json!({ "channel": here, "text": "no", "client_msg_id": "k" })]
    {
        let answer = ada.post("/api/chat.postMessage").json(&args).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        let error = answer.json::<Value>().await.unwrap()["error"].clone();
        // The team may not be there to begin with.
        assert!(error == "not_accepted" || error == "service_unavailable", "{error}");
    }
}

/// Checks that the directory accepts no new team either.
async fn expect_no_new_team(server: &Server) {
    let new = json!({ "domain": "new", "name": "new", "owner_name": "bob", "owner_email": "bob@example.com" });
    match server.api().call("teamlog.teams.create", &new).await {
        Err(Failure::Status(503, body)) => assert_eq!(body["error"], "not_accepted"),
        other => panic!("{other:?}"),
    }
}

/// The identity of a log's directory.
async fn log_id(server: &Server) -> String {
    let (status, said) = server.run(&["log", "describe", "--json"]).await;
    assert_eq!(status, 0, "{said}");
    let line = lines(&said).find(|line| line["partition"] == "directory/0").unwrap();
    line["log_id"].as_str().unwrap().to_owned()
}

async fn begin(engine: Engine) -> (Server, Api, String) {
    let server = Server::with(engine, options()).await;
    let (ada, _) = server.team("alien").await;
    let made = ada.good("conversations.create", json!({ "name": "here" })).await;
    let here = made["channel"]["id"].as_str().unwrap().to_owned();
    ada.say(&here, "kept").await;
    all_true(&server).await;
    (server, ada, here)
}

/// Where a server's log is: files that are moved, or a prefix of topics.
struct Logs {
    engine: Engine,
    own: toml::Value,
    aside: tempfile::TempDir,
}

impl Logs {
    fn of(engine: Engine, server: &Server) -> Logs {
        let aside = tempfile::TempDir::new().unwrap();
        take_log(&server.data_dir(), aside.path());
        let own = server.config().get("log").and_then(|log| log.get("prefix")).cloned();
        Logs { engine, own: own.unwrap_or("".into()), aside }
    }

    fn put(&self, server: &Server, prefix: toml::Value, files: &Path) {
        match self.engine {
            Engine::Embedded => take_log(files, &server.data_dir()),
            Engine::Stack => server.configure(|config| {
                config["log"].as_table_mut().unwrap().insert("prefix".to_owned(), prefix);
            }),
        }
    }

    fn put_back(&self, server: &Server) {
        self.put(server, self.own.clone(), self.aside.path());
    }

    fn put_that_of(&self, other: &Server, server: &Server) {
        let prefix = other.config().get("log").and_then(|log| log.get("prefix")).cloned();
        self.put(server, prefix.unwrap_or("".into()), &other.data_dir());
    }
}

/// Checks that the server is up, reports the fault, accepts no call that writes, and forgets nothing.
async fn expect_alien(server: &Server, ada: &Api, here: &str, old_id: &str) {
    let said = not_ready(server).await["parts"]["log"]["stopped"].as_str().unwrap().to_owned();
    assert!(said.contains("is not the log that a view was built from"), "{said}");
    expect_refusal(&ada.at(server.url()), here).await;
    expect_no_new_team(server).await;
    let (status, told) = server.run(&["view", "verify", "mains"]).await;
    assert_eq!(status, 1, "{told}");
    assert!(told.contains("mains") && told.contains("positions directory/0") && told.contains(old_id), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_made_anew_is_told_from_the_old_one() {
    for engine in Engine::all() {
        let (mut server, ada, here) = begin(engine).await;
        let old_id = log_id(&server).await;
        server.stop().await;
        let logs = Logs::of(engine, &server);
        let mut other = Server::prepare(engine, options()).await;

        // The other log is empty.
        logs.put_that_of(&other, &server);
        server.start_unready().await;
        expect_alien(&server, &ada, &here, &old_id).await;
        server.stop().await;
        logs.put_back(&server);
        server.restart().await;
        ada.at(server.url()).say(&here, "on it goes").await;
        let history = ada.at(server.url()).history(&here).await;
        let texts: Vec<_> = history.iter().filter(|message| message["subtype"].is_null()).collect();
        assert_eq!(texts.iter().map(|message| &message["text"]).collect::<Vec<_>>(), ["kept", "on it goes"]);
        all_true(&server).await;
        server.stop().await;

        // The other log has more records than the old one.
        if engine == Engine::Embedded {
            fs::create_dir_all(other.data_dir()).unwrap();
            fs::copy(server.data_dir().join("cluster.key"), other.data_dir().join("cluster.key")).unwrap();
        }
        other.restart().await;
        let (bob, _) = other.team("other").await;
        for number in 0..20 {
            bob.say("#general", &format!("{number}")).await;
        }
        other.stop().await;
        logs.put_that_of(&other, &server);
        server.start_unready().await;
        expect_alien(&server, &ada, &here, &old_id).await;
        let new_id = log_id(&server).await;
        let both = server.log().lines().any(|line| line.contains(&old_id) && line.contains(&new_id));
        assert!(both, "{engine:?}: {old_id} and {new_id} are named");
        server.stop().await;

        // It is to be the log from now on. Several databases take their time, and nothing else.
        if engine == Engine::Stack {
            continue;
        }
        rebuild_all(&server).await;
        server.restart().await;
        bob.at(server.url()).say("#general", "here as well").await;
        ada.at(server.url()).bad("auth.test", json!({}), "invalid_auth").await;
        all_true(&server).await;
    }
}

/// Every view of the embedded engine.
async fn rebuild_all(server: &Server) {
    for view in ["shard s1", "mains", "search"] {
        let (status, said) = server.run(&["view", "rebuild", view]).await;
        assert_eq!(status, 0, "{said}");
    }
}

/// Gives a server the log of a backup that another one has written on since.
async fn write_on(server: &Server, backup: &Path, ada: &Api, here: &str, starts: usize, posts: usize) {
    let mut other = Server::prepare(Engine::Embedded, options()).await;
    fs::create_dir_all(other.data_dir()).unwrap();
    fs::copy(server.data_dir().join("cluster.key"), other.data_dir().join("cluster.key")).unwrap();
    take_log(backup, &other.data_dir());
    for start in 0..starts {
        other.restart().await;
        for number in 0..posts {
            ada.at(other.url()).say(here, &format!("another history {start}/{number}")).await;
        }
        other.stop().await;
    }
    take_log(&other.data_dir(), &server.data_dir());
}

/// A backup of the log that is older than the views, as it is and after it was written on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_restored_short_is_noticed() {
    let (mut server, ada, here) = begin(Engine::Embedded).await;
    server.stop().await;
    let backup = tempfile::TempDir::new().unwrap();
    take_log(&server.data_dir(), backup.path());
    server.restart().await;
    for number in 0..10 {
        ada.at(server.url()).say(&here, &format!("lost {number}")).await;
    }
    all_true(&server).await;
    let lost = ada.at(server.url()).good("rtm.connect", json!({})).await["cursor"].clone();
    server.stop().await;
    let full = tempfile::TempDir::new().unwrap();
    take_log(&server.data_dir(), full.path());

    take_log(backup.path(), &server.data_dir());
    server.start_unready().await;
    let said = not_ready(&server).await["parts"]["log"]["stopped"].as_str().unwrap().to_owned();
    assert!(said.contains("but a position says") && said.contains("the log lost records"), "{said}");
    expect_refusal(&ada.at(server.url()), &here).await;
    expect_no_new_team(&server).await;
    server.stop().await;

    // Written on by one who had no views of it, and claimed as often as the lost end was, or more often: offsets and
    // epochs are alike, and the claims are not.
    for (starts, posts) in [(1, 20), (3, 3)] {
        write_on(&server, backup.path(), &ada, &here, starts, posts).await;
        let (status, told) = server.run(&["view", "verify", "shard s1"]).await;
        assert_eq!(status, 1, "{told}");
        assert!(told.contains("messages") && told.contains("should not be there"), "{told}");
        server.start_unready().await;
        let said = not_ready(&server).await["parts"]["log"]["stopped"].as_str().unwrap().to_owned();
        assert!(said.contains("log_rewritten"), "{said}");
        expect_refusal(&ada.at(server.url()), &here).await;
        server.stop().await;
    }

    // It is to be the log from now on: who was sent what is lost starts over.
    write_on(&server, backup.path(), &ada, &here, 1, 20).await;
    rebuild_all(&server).await;
    server.restart().await;
    all_true(&server).await;
    ada.at(server.url()).bad("rtm.connect", json!({ "cursor": lost }), "cursor_expired").await;
    let texts = ada.at(server.url()).history(&here).await;
    assert!(!texts.iter().any(|message| message["text"].as_str().unwrap().starts_with("lost")), "{texts:?}");
    server.stop().await;

    // Or the whole log is found again, with views of it.
    take_log(full.path(), &server.data_dir());
    rebuild_all(&server).await;
    server.restart().await;
    ada.at(server.url()).say(&here, "on it goes").await;
    all_true(&server).await;
}
