//! Kafka is unavailable, or the configuration is wrong: the output of the binary and its end.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use teamlog_tests::{Engine, Failure, Options, Server, Stack, WAIT};

use crate::views::all_true;

/// An address without a listener.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_kafka_and_says_so_once() {
    let Some(stack) = Stack::lease().await else { return };
    stack.kill(&["kafka1"]).await;
    let options = Options { stack: Some(stack.config()), ..Options::default() };
    let mut server = Server::prepare(Engine::Stack, options).await;
    server.start_unready().await;
    let http = reqwest::Client::new();
    let get = async |path: &str| http.get(format!("{}{path}", server.url())).send().await.unwrap();
    // Longer than it takes between two attempts.
    for _ in 0..15 {
        assert_eq!(get("/healthz").await.status(), 200);
        assert_eq!(get("/readyz").await.status(), 503);
        let call =
            server.api().post("/api/teamlog.teams.create").json(&json!({ "domain": "early" })).send().await.unwrap();
        assert_eq!(call.status(), 503);
        assert!(call.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        let body: Value = call.json().await.unwrap();
        assert_eq!((&body["ok"], &body["error"]), (&json!(false), &json!("service_unavailable")));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let worried = |line: &&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
    let log = server.log();
    let said: Vec<&str> = log.lines().filter(worried).collect();
    assert!(said.len() == 1 && said[0].contains("the log is away; waiting for it"), "{said:#?}");
    stack.start(&["kafka1"]).await;
    server.ready().await;
    let (ada, _) = server.team("late").await;
    ada.say("#general", "it was worth the wait").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_need_kafka_give_up_after_ten_seconds() {
    // No server of any kind is needed for that.
    let server = Server::prepare(Engine::Embedded, Options::default()).await;
    server.configure(|config| {
        let kafka = toml::toml! {
            [cluster]
            keys = ["a key for nothing at all"]
            [log]
            engine = "kafka"
        };
        config.extend(kafka);
        config["log"].as_table_mut().unwrap().insert("brokers".to_owned(), vec![nobody()].into());
    });
    let commands: [&[&str]; 6] = [
        &["log", "describe"],
        &["log", "cat"],
        &["log", "verify"],
        &["log", "create-topics"],
        &["view", "status"],
        &["view", "verify"],
    ];
    let run = async |args: &[&str]| {
        let since = Instant::now();
        let (status, said) = server.run(args).await;
        let took = since.elapsed();
        assert_eq!(status, 3, "{args:?}: {said}");
        assert!(said.contains("the log does not answer"), "{args:?}: {said}");
        // About ten, on a busy machine too.
        assert!((5..30).contains(&took.as_secs()), "{args:?}: {took:?}");
    };
    join_all(commands.map(run)).await;
    let (status, said) = server.run(&["team", "list"]).await;
    assert_eq!(status, 3, "no server runs: {said}");
}

#[tokio::test]
async fn an_unknown_setting_is_refused_with_the_nearest_known_one() {
    let server = Server::prepare(Engine::Embedded, Options::default()).await;
    server.configure(|config| {
        config.extend(toml::toml! {
            [gateway]
            sesions_max = 7
        });
    });
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["config"], &["view", "status"], &["team", "list"]] {
        let (status, said) = server.run(command).await;
        assert_eq!(status, 2, "{command:?}: {said}");
        assert!(said.contains("sesions_max") && said.contains("did you mean `sessions_max`?"), "{command:?}: {said}");
    }
    assert!(!server.data_dir().join("log.sqlite").exists(), "nothing was begun");
}

/// Writers are told to retry under the same key; readers notice nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_kafka_is_away() {
    let Some(stack) = Stack::lease().await else { return };
    let options = Options { unlimited: true, stack: Some(stack.config()), ..Options::default() };
    let server = Server::with(Engine::Stack, options).await;
    let (ada, _) = server.team("away").await;
    let here = ada.good("conversations.create", json!({ "name": "here" })).await["channel"]["id"].clone();
    let here = here.as_str().unwrap();
    let mut socket = ada.connect(json!({})).await;
    ada.say(here, "before").await;
    socket.message("before").await;
    let posts: Vec<Value> = (0..8)
        .map(|number| json!({ "channel": here, "text": format!("post {number}"), "client_msg_id": format!("key {number}") }))
        .collect();

    stack.kill(&["kafka1"]).await;
    let mut accepted = 0;
    for answer in join_all(posts.iter().map(|post| ada.call("chat.postMessage", post))).await {
        match answer {
            Err(Failure::Status(503, body)) => {
                assert!(body["error"] == "not_accepted" || body["error"] == "outcome_unknown", "{body}");
            }
            _ => accepted += 1,
        }
        let page = ada.good("conversations.history", json!({ "channel": here })).await;
        assert_eq!(page["messages"][0]["text"], "before");
    }
    assert_eq!(accepted, 0, "there was no log to write to");
    assert_eq!(reqwest::get(format!("{}/healthz", server.url())).await.unwrap().status(), 200);

    stack.start(&["kafka1"]).await;
    for post in &posts {
        let since = Instant::now();
        while ada.call("chat.postMessage", post).await.is_err() {
            assert!(since.elapsed() < WAIT, "{post}: {}", server.log());
        }
    }
    // In the order in which they count, whichever that is.
    let mut awaited: Vec<&str> = posts.iter().map(|post| post["text"].as_str().unwrap()).collect();
    while !awaited.is_empty() {
        let frame = socket.until("a post", |frame| frame["type"] == "message").await;
        let at = awaited.iter().position(|text| frame["text"] == **text).expect("each comes once, and nothing else");
        awaited.swap_remove(at);
    }
    let history = ada.history(here).await;
    for post in &posts {
        assert_eq!(history.iter().filter(|message| message["text"] == post["text"]).count(), 1, "{post}");
    }
    all_true(&server).await;
}
