//! Parts are killed under clients at work.

use serde_json::json;
use teamlog_tests::{Api, Engine, Failure, Options, Server, Stack};

use crate::{load::Load, views::all_true};

/// Answers that each client must get in a state of affairs.
const ROUNDS: usize = 25;

/// A server on the stack that may be killed, and the owner of a team on it with a channel.
async fn serve(stack: &Stack) -> (Server, Api, String) {
    let options = Options { unlimited: true, stack: Some(stack.config()), ..Options::default() };
    begin(Server::with(Engine::Stack, options).await).await
}

async fn begin(server: Server) -> (Server, Api, String) {
    let (ada, _) = server.team("parts").await;
    let made = ada.good("conversations.create", json!({ "name": "here" })).await;
    let here = made["channel"]["id"].as_str().unwrap().to_owned();
    (server, ada, here)
}

/// Checks that every acknowledged message is in the history, once.
async fn expect_all(api: &Api, channel: &str, acknowledged: &[String]) {
    let history = api.history(channel).await;
    for ts in acknowledged {
        assert_eq!(history.iter().filter(|message| message["ts"] == **ts).count(), 1, "{ts}");
    }
}

/// Clients at work while parts die one after the other, while `serve` starts without them, and while they come back: all
/// that was acknowledged is there, and every view is true. With `domain` a team is made while they are away.
async fn nobody_notices(
    stack: &Stack,
    (server, ada, here): &mut (Server, Api, String),
    deaths: &[&[&str]],
    domain: Option<&str>,
) {
    let mut load = Load::start(ada, here);
    load.rounds(ROUNDS).await;
    for parts in deaths {
        stack.kill(parts).await;
        load.rounds(ROUNDS).await;
    }
    let mut acknowledged = load.stop().await;

    server.restart().await;
    *ada = ada.at(server.url());
    let mut load = Load::start(ada, here);
    load.rounds(ROUNDS).await;
    if let Some(domain) = domain {
        server.team(domain).await.0.say("#general", "a team is made, too").await;
    }
    stack.start(&deaths.concat()).await;
    load.rounds(ROUNDS).await;
    acknowledged.extend(load.stop().await);

    expect_all(ada, here, &acknowledged).await;
    all_true(server).await;
}

/// `dc1` is the one that is asked first, `dc2` the one whose projector alone notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_one_database_server_dies() {
    let Some(stack) = Stack::lease().await else { return };
    let mut served = serve(&stack).await;
    for dc in ["dc1", "dc2"] {
        let domain = format!("new-while-{dc}-is-away");
        nobody_notices(&stack, &mut served, &[&[dc]], Some(&domain)).await;
    }
}

/// The directory is known to every process; its tables are for those who look from outside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_all_replicas_of_mains_die() {
    let Some(stack) = Stack::lease().await else { return };
    let options = Options { unlimited: true, stack: Some(stack.config()), ..Options::default() };
    let mut server = Server::prepare(Engine::Stack, options).await;
    // Only mains is on the servers that die.
    let file = server.data_dir().join("shard.sqlite");
    server.configure(|config| {
        let replicas = vec![format!("sqlite://{}", file.display())];
        let shard =
            toml::Table::from_iter([("name".to_owned(), "s1".into()), ("replicas".to_owned(), replicas.into())]);
        config.insert("shards".to_owned(), vec![shard].into());
    });
    server.restart().await;
    let mut served = begin(server).await;
    nobody_notices(&stack, &mut served, &[&["dc1", "dc2"]], Some("new-while-mains-is-away")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_memcached_dies() {
    let Some(stack) = Stack::lease().await else { return };
    let mut served = serve(&stack).await;
    nobody_notices(&stack, &mut served, &[&["memcached1"], &["memcached2"]], None).await;
}

/// Plain posts and sockets need the log alone; what needs rows may be asked again later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_in_memory_talks_on_while_every_database_is_away() {
    let Some(stack) = Stack::lease().await else { return };
    let (mut server, ada, here) = serve(&stack).await;
    let mut socket = ada.connect(json!({})).await;
    let before = ada.say(&here, "before").await;
    stack.kill(&["dc1", "dc2"]).await;
    for number in 0..ROUNDS {
        let text = format!("without databases {number}");
        ada.say(&here, &text).await;
        socket.message(&text).await;
    }
    let mut fresh = ada.connect(json!({})).await;
    ada.say(&here, "to a fresh socket").await;
    fresh.message("to a fresh socket").await;
    // What was done is not called a failure because nobody can count what is unread in it.
    let made = ada.good("channels.create", json!({ "name": "made-meanwhile" })).await;
    assert_eq!(made["channel"]["name"], "made-meanwhile");
    for (method, args, code) in [
        ("conversations.history", json!({ "channel": here }), "service_unavailable"),
        ("chat.update", json!({ "channel": here, "ts": before, "text": "edited" }), "not_accepted"),
        ("chat.postMessage", json!({ "channel": here, "text": "a reply", "thread_ts": before }), "not_accepted"),
        ("chat.postMessage", json!({ "channel": here, "text": "keyed", "client_msg_id": "a key" }), "not_accepted"),
        ("chat.delete", json!({ "channel": here, "ts": before }), "not_accepted"),
        ("reactions.add", json!({ "channel": here, "timestamp": before, "name": "tada" }), "not_accepted"),
    ] {
        match ada.call(method, &args).await {
            Err(Failure::Status(503, body)) => assert_eq!(body["error"], code, "{method}"),
            other => panic!("{method}: {other:?}"),
        }
    }
    // A process that starts now has no team in memory.
    server.restart().await;
    let ada = ada.at(server.url());
    match ada.call("auth.test", &json!({})).await {
        Err(Failure::Status(503, body)) => assert_eq!(body["error"], "service_unavailable"),
        other => panic!("{other:?}"),
    }
    stack.start(&["dc1", "dc2"]).await;
    all_true(&server).await;
    ada.good("chat.update", json!({ "channel": here, "ts": before, "text": "edited" })).await;
    let texts: Vec<_> = ada.history(&here).await.iter().map(|message| message["text"].clone()).collect();
    assert!(texts.contains(&json!("edited")) && texts.contains(&json!("to a fresh socket")), "{texts:?}");
}
