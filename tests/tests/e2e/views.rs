//! The views from outside: the cache that history is read through, and the commands that look at views and build them anew.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Options, Server, WAIT};

/// The newest page, short enough to be cached; and the same by a page that is too long for the cache.
async fn newest(api: &Api, channel: &str) -> (Value, Value) {
    let page = async |limit: u32| {
        let args = json!({ "channel": channel, "limit": limit });
        api.good("conversations.history", args).await["messages"].take()
    };
    (page(100).await, page(200).await)
}

/// Returns a counter, summed over its labels.
async fn counter(server: &Server, name: &str) -> u64 {
    let shown = reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    let lines = shown.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Reads the newest page again until this counter rises: a busy machine may have let the cache miss.
async fn read_until_rises(server: &Server, api: &Api, channel: &str, name: &str) {
    let (since, before) = (Instant::now(), counter(server, name).await);
    loop {
        let (cached, uncached) = newest(api, channel).await;
        assert_eq!(cached, uncached);
        if counter(server, name).await > before {
            return;
        }
        assert!(since.elapsed() < WAIT, "{name} stays at {before}");
    }
}

async fn channel(api: &Api, name: &str) -> String {
    api.good("conversations.create", json!({ "name": name })).await["channel"]["id"].as_str().unwrap().to_owned()
}

/// A connection to a memcached server in its classic text protocol.
struct Memcached(BufReader<TcpStream>);

impl Memcached {
    fn connect(address: &str) -> Memcached {
        Memcached(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        let stream = self.0.get_mut();
        write!(stream, "set {key} 0 0 {}\r\n", value.len()).unwrap();
        stream.write_all(&[value, b"\r\n"].concat()).unwrap();
        assert_eq!(self.line(), "STORED");
    }

    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        write!(self.0.get_mut(), "get {key}\r\n").unwrap();
        let head = self.line();
        if head == "END" {
            return None;
        }
        let mut value = vec![0; head.rsplit(' ').next().unwrap().parse().unwrap()];
        self.0.read_exact(&mut value).unwrap();
        assert_eq!((self.line(), self.line()), (String::new(), "END".to_owned()));
        Some(value)
    }
}

#[tokio::test]
async fn history_comes_from_the_cache_and_is_as_it_is_now() {
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let (ada, _) = server.team("cached").await;
        let here = channel(&ada, "here").await;
        let mut said = Vec::new();
        for number in 0..5 {
            said.push(ada.say(&here, &format!("number {number}")).await);
        }
        read_until_rises(&server, &ada, &here, "teamlog_cache_hits_total").await;
        assert!(counter(&server, "teamlog_cache_misses_total").await > 0);
        // What comes after the page was cached lies over it.
        ada.good("chat.update", json!({ "channel": here, "ts": said[0], "text": "edited" })).await;
        ada.good("chat.delete", json!({ "channel": here, "ts": said[1] })).await;
        ada.good("reactions.add", json!({ "channel": here, "timestamp": said[2], "name": "tada" })).await;
        ada.good("chat.postMessage", json!({ "channel": here, "text": "reply", "thread_ts": said[3] })).await;
        ada.say(&here, "newest").await;
        let hits = counter(&server, "teamlog_cache_hits_total").await;
        let (cached, uncached) = newest(&ada, &here).await;
        assert_eq!(cached, uncached);
        let texts: Vec<_> = cached.as_array().unwrap().iter().filter_map(|message| message["text"].as_str()).collect();
        assert_eq!(&texts[..5], ["newest", "number 4", "number 3", "number 2", "edited"], "{engine:?}");
        assert_eq!((&cached[2]["reply_count"], &cached[3]["reactions"][0]["name"]), (&json!(1), &json!("tada")));
        read_until_rises(&server, &ada, &here, "teamlog_cache_hits_total").await;
        assert!(counter(&server, "teamlog_cache_hits_total").await > hits);
        assert_eq!(counter(&server, "teamlog_cache_failures_total").await, 0, "{engine:?}");
    }
}

#[tokio::test]
async fn a_memcached_that_is_away_is_asked_once_a_second() {
    let mut server = Server::prepare(Engine::Embedded, Options { unlimited: true, ..Options::default() }).await;
    server.configure(|config| {
        // An address without a listener.
        let servers = toml::Table::from_iter([("servers".to_owned(), toml::Value::from(vec!["127.0.0.1:1"]))]);
        config.insert("cache".to_owned(), servers.into());
    });
    let began = Instant::now();
    server.restart().await;
    let (ada, _) = server.team("alone").await;
    let here = channel(&ada, "here").await;
    for number in 0..50 {
        let ts = ada.say(&here, &format!("number {number}")).await;
        let (newest, uncached) = newest(&ada, &here).await;
        assert_eq!((&newest[0]["ts"], &newest), (&json!(ts), &uncached));
    }
    let failures = counter(&server, "teamlog_cache_failures_total").await;
    assert!(failures > 0 && failures as f64 <= began.elapsed().as_secs_f64() + 1.0, "{failures}");
    assert_eq!(counter(&server, "teamlog_cache_misses_total").await, 50);
}

#[tokio::test]
async fn what_somebody_put_into_memcached_is_not_believed() {
    for engine in Engine::all().into_iter().filter(|engine| *engine == Engine::Stack) {
        let server = Server::start(engine).await;
        let (ada, _) = server.team("poisoned").await;
        let team = ada.good("auth.test", json!({})).await["team_id"].as_str().unwrap().to_owned();
        let (here, there) = (channel(&ada, "here").await, channel(&ada, "there").await);
        ada.say(&here, "the truth").await;
        ada.say(&there, "another truth").await;
        for one in [&here, &there] {
            read_until_rises(&server, &ada, one, "teamlog_cache_hits_total").await;
        }
        let config = server.config();
        let servers = config["cache"]["servers"].as_array().unwrap().iter().map(|one| one.as_str().unwrap());
        let mut servers: Vec<_> = servers.map(Memcached::connect).collect();
        // Two replicas, neither of them built anew.
        let key = |channel: &str| format!("h2/0.0/{team}/{channel}");
        let of_there = servers.iter_mut().find_map(|server| server.get(&key(&there))).expect("the page is there");
        let mut flipped = servers.iter_mut().find_map(|server| server.get(&key(&here))).expect("the page is there");
        *flipped.last_mut().unwrap() ^= 1;
        for wrong in [b"garbage".to_vec(), Vec::new(), of_there, flipped] {
            servers.iter_mut().for_each(|server| server.set(&key(&here), &wrong));
            read_until_rises(&server, &ada, &here, "teamlog_cache_misses_total").await;
            read_until_rises(&server, &ada, &here, "teamlog_cache_hits_total").await;
        }
    }
}

/// Returns a command's lines of JSON.
async fn lines(server: &Server, status: i32, args: &[&str]) -> Vec<Value> {
    let (ended, said) = server.run(&[&["--json"], args].concat()).await;
    assert_eq!(ended, status, "{args:?}:\n{said}");
    said.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A task that posts, reads and searches without pause. No call may be refused.
struct AtWork {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u32>,
}

impl AtWork {
    fn start(api: &Api, channel: &str) -> AtWork {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, api, channel) = (stop.clone(), api.clone(), channel.to_owned());
        let task = tokio::spawn(async move {
            let mut posted = 0;
            while !stopped.load(Ordering::Relaxed) {
                let text = format!("word{posted}");
                let ts = api.say(&channel, &text).await;
                let (newest, _) = newest(&api, &channel).await;
                assert_eq!((&newest[0]["ts"], &newest[0]["text"]), (&json!(ts), &json!(text)));
                let found = api.good("search.messages", json!({ "query": text })).await;
                assert_eq!(found["messages"]["matches"][0]["text"], text, "{found}");
                posted += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            posted
        });
        AtWork { stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.task.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn every_view_is_built_anew_while_it_is_used() {
    // Side by side, for most of it is waiting for readers to go over.
    futures::future::join_all(Engine::all().into_iter().map(built_anew_while_used)).await;
}

async fn built_anew_while_used(engine: Engine) {
    let mut server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
    let (ada, _) = server.team("rebuilt").await;
    let here = channel(&ada, "here").await;
    for number in 0..5 {
        ada.say(&here, &format!("before {number}")).await;
    }
    // A stop in good order commits the index.
    server.stop().await;
    server.restart().await;
    let ada = ada.at(server.url());
    for view in lines(&server, 0, &["view", "verify"]).await {
        assert_eq!(view["differing"], 0, "{view}");
        assert!(view["view"] != "search" || view["rows"] == 5, "{view}");
    }
    let status = lines(&server, 0, &["view", "status"]).await;
    let of_team = lines(&server, 0, &["view", "verify", "--team", "rebuilt"]).await;
    let lies = of_team.iter().map(|view| view["view"].as_str().unwrap()).find(|name| name.starts_with("shard"));
    let lies = lies.expect("a team lies on a shard").to_owned();
    assert!(of_team.iter().all(|view| view["differing"] == 0), "{of_team:?}");

    let work = AtWork::start(&ada, &here);
    for view in ["mains", &lies, "search"] {
        let replicas = status.iter().filter(|one| one["view"] == view).count();
        for rebuilt in lines(&server, 0, &["view", "rebuild", view]).await {
            for (key, expected) in
                [("generation", json!(1)), ("before", json!(0)), ("switched", json!(true)), ("differing", json!(0))]
            {
                assert_eq!(rebuilt[key], expected, "{key} of {rebuilt}");
            }
        }
        let after = lines(&server, 0, &["view", "status", view]).await;
        assert_eq!(after.len(), replicas);
        assert!(after.iter().all(|one| one["generation"] == 1 && one["built"].is_null()), "{after:?}");
    }
    // Built, left alone, and switched to later.
    let first = status.iter().find(|one| one["view"] == lies.as_str()).unwrap()["replica"].as_str().unwrap();
    let built = lines(&server, 0, &["view", "rebuild", &lies, "--replica", first, "--no-switch"]).await;
    assert_eq!((built.len(), &built[0]["generation"], &built[0]["switched"]), (1, &json!(2), &json!(false)));
    let waits = lines(&server, 0, &["view", "status", &lies, "--replica", first]).await;
    assert_eq!((&waits[0]["generation"], &waits[0]["built"]), (&json!(1), &json!(2)));
    let switched = lines(&server, 0, &["view", "switch", &lies]).await;
    assert_eq!(switched.len(), 1, "{switched:?}");
    assert_eq!((&switched[0]["generation"], &switched[0]["before"]), (&json!(2), &json!(1)));
    work.end().await;

    // And without a server; who comes then reads what is current.
    server.stop().await;
    lines(&server, 0, &["view", "rebuild", "search"]).await;
    for view in lines(&server, 0, &["view", "verify"]).await {
        assert_eq!(view["differing"], 0, "{view}");
    }
    server.restart().await;
    let ada = ada.at(server.url());
    let found = ada.good("search.messages", json!({ "query": "\"before 3\"" })).await;
    assert_eq!(found["messages"]["total"], 1, "{found}");
}

#[tokio::test]
async fn commands_say_what_they_should_and_nothing_else() {
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let (ada, _) = server.team("quiet").await;
        ada.say("#general", "hello").await;
        for args in [&["view", "status"][..], &["view", "verify", "mains"], &["log", "describe"], &["log", "cat"]] {
            let (status, said) = server.run(args).await;
            assert_eq!(status, 0, "{args:?}:\n{said}");
            for noise in ["feed stopped", "ERROR", "WARN", "\u{1b}["] {
                assert!(!said.contains(noise), "{args:?} says {noise:?}:\n{said}");
            }
        }
        let status = lines(&server, 0, &["view", "status", "mains"]).await;
        let directory = &status[0]["positions"]["directory/0"];
        assert!(directory["epoch"].as_u64() >= Some(1) && directory["end"].as_u64() >= Some(2), "{directory}");
        for (args, why) in [
            (&["view", "rebuild", "mains", "--team", "quiet"][..], "leave out --team"),
            (&["view", "verify", "--team", "nobody"], "no team has the domain nobody"),
            (&["view", "verify", "nothing"], "the views are: mains, shard s1"),
            (&["view", "switch", "mains"], "no new generation of mains"),
        ] {
            let (status, said) = server.run(args).await;
            assert!(status == 2 && said.contains(why), "{args:?}: {status}\n{said}");
        }
        // One rebuild at a time.
        let lock = File::options().create(true).append(true).open(server.data_dir().join("rebuild.lock")).unwrap();
        lock.lock().unwrap();
        let (status, said) = server.run(&["view", "rebuild", "mains"]).await;
        assert!(status == 2 && said.contains("another rebuild"), "{status}\n{said}");
    }
}

#[tokio::test]
async fn a_replica_that_is_away_hides_no_other() {
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        server.team("away").await;
        let dead = "mysql://root@127.0.0.1:1/teamlog_mains";
        server.configure(|config| {
            let file = format!("sqlite://{}", server.data_dir().join("mains.sqlite").display());
            let mains = config.entry("mains").or_insert_with(|| {
                toml::Table::from_iter([("replicas".to_owned(), toml::Value::from(vec![file]))]).into()
            });
            mains["replicas"].as_array_mut().unwrap().insert(0, dead.into());
        });
        for command in ["status", "verify"] {
            let said = lines(&server, 3, &["view", command]).await;
            let (away, there): (Vec<_>, Vec<_>) = said.iter().partition(|one| one.get("away").is_some());
            assert_eq!(away.len(), 1, "{said:?}");
            assert_eq!(away[0]["replica"], "127.0.0.1:1/teamlog_mains");
            assert!(there.iter().any(|one| one["view"] == "mains") && there.len() >= 3, "{said:?}");
        }
    }
}
