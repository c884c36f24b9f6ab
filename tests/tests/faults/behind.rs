//! Views far behind the log: answers from them are right, or refused for now.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Options, Server, WAIT, size};

use crate::{
    databases::{Database, Shard},
    views::all_true,
};

/// Posts in flight.
const AT_ONCE: usize = 64;
/// Of so many posts that the views have not seen one has a key.
const KEYED: usize = 100;

/// A team whose shard stood still while many messages came in. The server was killed since and is there again, the
/// shard stands where it stood.
struct Behind {
    server: Server,
    ada: Api,
    here: String,
    held: Vec<Database>,
    /// From before the shard stood still, and from behind that.
    old: Said,
    new: Said,
}

/// A message with a key, and one without.
struct Said {
    keyed: Value,
    keyed_ts: String,
    plain_ts: String,
}

impl Said {
    async fn say(api: &Api, channel: &str, when: &str) -> Said {
        let keyed = json!({ "channel": channel, "text": format!("keyed, {when}"), "client_msg_id": when });
        let keyed_ts = api.good("chat.postMessage", keyed.clone()).await["ts"].as_str().unwrap().to_owned();
        Said { keyed, keyed_ts, plain_ts: api.say(channel, &format!("plain, {when}")).await }
    }
}

impl Behind {
    /// Builds the scenario. The new start gets the settings `log` in its section `[log]`.
    async fn begin(engine: Engine, posts: usize, log: &[(&str, i64)]) -> Behind {
        let mut server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let (ada, _) = server.team("behind").await;
        let made = ada.good("conversations.create", json!({ "name": "here" })).await;
        let here = made["channel"]["id"].as_str().unwrap().to_owned();
        let old = Said::say(&ada, &here, "old").await;
        all_true(&server).await;
        let held = Shard::of(&server, &ada).await.hold().await;

        let since = Instant::now();
        let post = async |number: usize| {
            let mut args = json!({ "channel": here, "text": format!("unseen {number}") });
            if number.is_multiple_of(KEYED) {
                args["client_msg_id"] = json!(format!("key {number}"));
            }
            ada.good("chat.postMessage", args).await;
        };
        stream::iter(0..posts).map(post).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        eprintln!("{engine:?}: {posts} posts in {:?}", since.elapsed());
        let new = Said::say(&ada, &here, "new").await;
        server.configure(|config| {
            let section = config.entry("log").or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
            section.extend(log.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())));
        });
        let since = Instant::now();
        server.restart().await;
        eprintln!("{engine:?}: ready {:?} after the start", since.elapsed());
        Behind { ada: ada.at(server.url()), server, here, held, old, new }
    }

    /// Makes a call that must succeed now, prints how long it took, and returns the answer.
    async fn good(&self, method: &str, args: Value) -> Value {
        let since = Instant::now();
        let answer = self.ada.good(method, args).await;
        eprintln!("{method}: {:?}", since.elapsed());
        answer
    }

    async fn works(&self) {
        let Behind { ada, here, .. } = self;
        let mut socket = ada.connect(json!({})).await;
        let posted = self.good("chat.postMessage", json!({ "channel": here, "text": "at once" })).await["ts"].clone();
        socket.message("at once").await;
        for (said, when) in [(&self.old, "old"), (&self.new, "new")] {
            let again = self.good("chat.postMessage", said.keyed.clone()).await;
            assert_eq!(again["ts"], said.keyed_ts, "a retry of the {when} one");
            let reply = json!({ "channel": here, "text": format!("a reply, {when}"), "thread_ts": said.plain_ts });
            let reply = self.good("chat.postMessage", reply).await["ts"].clone();
            let edit = json!({ "channel": here, "ts": said.plain_ts, "text": format!("edited, {when}") });
            self.good("chat.update", edit).await;
            let reaction = json!({ "channel": here, "timestamp": said.plain_ts, "name": "tada" });
            self.good("reactions.add", reaction.clone()).await;
            ada.bad("reactions.add", reaction, "already_reacted").await;
            let thread = json!({ "channel": here, "ts": said.plain_ts });
            let thread = self.good("conversations.replies", thread).await["messages"].clone();
            let of = |key: &str| thread.as_array().unwrap().iter().map(|one| one[key].clone()).collect::<Vec<_>>();
            assert_eq!(of("ts"), [json!(said.plain_ts), reply], "{thread}");
            assert_eq!(of("text"), [format!("edited, {when}"), format!("a reply, {when}")], "{thread}");
            assert_eq!((&thread[0]["reply_count"], &thread[0]["reactions"][0]["count"]), (&json!(1), &json!(1)));
        }
        let page = self.good("conversations.history", json!({ "channel": here, "limit": 3 })).await;
        let texts: Vec<_> = page["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
        assert_eq!(texts, ["at once", "edited, new", "keyed, new"], "the newest");
        assert_eq!(page["messages"][0]["ts"], posted);
        let first = json!({ "channel": here, "latest": self.old.plain_ts, "inclusive": true, "limit": 2 });
        let page = self.good("conversations.history", first).await;
        let texts: Vec<_> = page["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
        assert_eq!(texts, ["edited, old", "keyed, old"], "as far back as the views had come");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_views_have_not_seen_is_known_at_once_after_a_start() {
    let posts = size("TEAMLOG_TEST_BEHIND", 10_000);
    // Few events are to fall out of the ring as many would.
    let ring: &[_] = if posts < 50_000 { &[("ring_bytes_max", 1 << 20)] } else { &[] };
    for engine in Engine::all() {
        let behind = Behind::begin(engine, posts, ring).await;
        behind.works().await;
        let Behind { server, held, .. } = behind;
        let since = Instant::now();
        for database in held {
            database.let_go().await;
        }
        all_true(&server).await;
        eprintln!("{engine:?}: caught up and verified {:?} later", since.elapsed());
    }
}

/// Past the bound of one read of the tail there is no answer for now, and never one from too old a view.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_far_behind_is_refused_for_now() {
    for engine in Engine::all() {
        let sizes = [("ring_bytes_max", 64 << 10), ("scan_bytes_max", 256 << 10)];
        let Behind { server, ada, here, held, old, new } = Behind::begin(engine, 2_000, &sizes).await;
        for (method, args) in [
            ("auth.test", json!({})),
            ("chat.postMessage", json!({ "channel": here, "text": "not now" })),
            ("chat.postMessage", new.keyed.clone()),
            ("chat.update", json!({ "channel": here, "ts": old.plain_ts, "text": "not now" })),
            ("conversations.history", json!({ "channel": here })),
            ("rtm.connect", json!({})),
        ] {
            let answer = ada.post(&format!("/api/{method}")).json(&args).send().await.unwrap();
            assert_eq!(answer.status(), 503, "{engine:?}: {method}");
            let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{engine:?}: {method}: Retry-After {wait}");
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["error"], "service_unavailable", "{engine:?}: {method}");
        }
        for database in held {
            database.let_go().await;
        }
        // Clients who do as they are told.
        let since = Instant::now();
        while ada.call("auth.test", &json!({})).await.is_err() {
            assert!(since.elapsed() < WAIT, "{engine:?}: {}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        all_true(&server).await;
        let again = ada.good("chat.postMessage", new.keyed).await;
        assert_eq!(again["ts"], new.keyed_ts, "{engine:?}");
    }
}
