//! Kafka, mains and memcached are unavailable: a person with a token can still read and connect.

use std::time::Instant;

use futures::future::join_all;
use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Failure, Options, Server, Socket, Stack, WAIT};

use crate::views::{all_true, caught_up};

/// A reader and its view of a team from the time before everything but the team's shard became unavailable.
struct Reader {
    api: Api,
    user: String,
    channel: String,
    sockets: Vec<Socket>,
}

impl Reader {
    async fn new(server: &Server, domain: String) -> Reader {
        let (api, user) = server.team(&domain).await;
        let made = api.good("conversations.create", json!({ "name": "here" })).await;
        let channel = made["channel"]["id"].as_str().unwrap().to_owned();
        for text in ["one", "two", "three"] {
            api.say(&channel, text).await;
        }
        Reader { api, user, channel, sockets: Vec::new() }
    }

    /// Everything that a client begins with.
    async fn read_and_connect(&mut self) {
        let has = |listed: &Value, id: &str| listed.as_array().unwrap().iter().any(|one| one["id"] == *id);
        let history = self.api.history(&self.channel).await;
        let texts: Vec<&Value> = history.iter().map(|message| &message["text"]).filter(|text| *text != "").collect();
        assert!(texts.ends_with(&[&json!("one"), &json!("two"), &json!("three")]), "{texts:?}");
        let channels = self.api.good("conversations.list", json!({})).await;
        assert!(has(&channels["channels"], &self.channel), "{channels}");
        let people = self.api.good("users.list", json!({})).await;
        assert!(has(&people["members"], &self.user), "{people}");
        let started = self.api.good("rtm.start", json!({})).await;
        assert!(has(&started["users"], &self.user) && has(&started["channels"], &self.channel), "{started}");
        let mut socket = Socket::open(started["url"].as_str().unwrap()).await.unwrap();
        assert_eq!(socket.frame().await.unwrap()["type"], "hello");
        self.sockets.push(socket);
        self.sockets.push(self.api.connect(json!({})).await);
    }

    /// Retries a write until it succeeds. The key makes it happen once.
    async fn write(&self, text: &str) {
        let since = Instant::now();
        let post = json!({ "channel": self.channel, "text": text, "client_msg_id": text });
        while self.api.call("chat.postMessage", &post).await.is_err() {
            assert!(since.elapsed() < WAIT, "{post} is not accepted");
        }
    }
}

/// A process that was ready before has read all that others had acknowledged, so it need not have had a team in memory:
/// its rows and the ring give it. Sockets that begin meanwhile hear of the first thing that happens, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_connects_and_reads_while_only_the_shards_are_there() {
    let Some(stack) = Stack::lease().await else { return };
    let options = Options { unlimited: true, stack: Some(stack.config()), ..Options::default() };
    let mut server = Server::prepare(Engine::Stack, options).await;
    server.configure(|config| {
        // Mains is on the server that dies, every shard on the one that lives.
        let only = |part: &mut toml::Value, at: usize| {
            let replicas = part["replicas"].as_array_mut().unwrap();
            *replicas = vec![replicas[at].clone()];
        };
        only(&mut config["mains"], 1);
        config["shards"].as_array_mut().unwrap().iter_mut().for_each(|shard| only(shard, 0));
    });
    server.restart().await;
    let mut readers = Vec::new();
    for number in 0..4 {
        readers.push(Reader::new(&server, format!("reads-{number}")).await);
    }
    caught_up(&server).await;
    server.restart().await;
    stack.kill(&["kafka1", "dc2", "memcached1", "memcached2"]).await;
    assert_eq!(server.metric("teamlog_team_loads_total").await, 0.0, "no team is in memory");

    for reader in &mut readers {
        reader.api = reader.api.at(server.url());
        reader.read_and_connect().await;
    }
    assert_eq!(server.metric("teamlog_team_loads_total").await, 4.0);
    let post = |reader: &Reader| {
        let (api, args) =
            (reader.api.clone(), json!({ "channel": reader.channel, "text": "first", "client_msg_id": "first" }));
        async move { api.call("chat.postMessage", &args).await }
    };
    for answer in join_all(readers.iter().map(post)).await {
        match answer {
            Err(Failure::Status(503, body)) => {
                assert!(body["error"] == "not_accepted" || body["error"] == "outcome_unknown", "{body}");
            }
            other => panic!("there is no log to write to: {other:?}"),
        }
    }
    // Those in memory by now are read as before.
    for reader in &mut readers {
        reader.read_and_connect().await;
    }

    stack.start(&["kafka1", "dc2", "memcached1", "memcached2"]).await;
    for reader in &mut readers {
        reader.write("first").await;
        reader.write("second").await;
        for socket in &mut reader.sockets {
            for text in ["first", "second"] {
                let frame = socket.until("a message", |frame| frame["type"] == "message").await;
                assert_eq!(frame["text"], text);
            }
        }
    }
    all_true(&server).await;
}
