//! `kill -9` in the middle of everything: nothing acknowledged is lost, and no session has a gap.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::harness::{Client, Server, engines};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

const WRITERS: usize = 4;
const SESSIONS: usize = 12;
const POSTS: usize = 40;
const END: &str = "the end";

/// Kills a run: 3 in the ordinary run, 20 with `TEAMLOG_TEST_LONG`.
fn kills() -> usize {
    if std::env::var_os("TEAMLOG_TEST_LONG").is_some() { 20 } else { 3 }
}

/// Posts under a key until it is acknowledged; its `ts`.
async fn post(client: &Client, token: &str, channel: &str, text: &str) -> String {
    for _ in 0..400 {
        let args = json!({ "channel": channel, "text": text, "client_msg_id": text });
        if let Some(call) = client.try_call(token, "chat.postMessage", &args).await {
            if call.body["ok"] == true {
                return call.body["ts"].as_str().unwrap().to_owned();
            }
            assert_eq!(call.status, 503, "{}", call.body);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{text} was never acknowledged");
}

/// Runs of messages as one client saw them: each run begins fresh and goes on by cursor over every cut.
async fn follow(client: Client, token: String, channel: String, seed: u64, stop: Arc<AtomicBool>) -> Vec<Vec<String>> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut runs, mut cursor): (Vec<Vec<String>>, Value) = (Vec::new(), Value::Null);
    loop {
        let fresh = cursor.is_null() || random.random_bool(0.3);
        let args = if fresh { json!({ "cursors": true }) } else { json!({ "cursors": true, "cursor": cursor }) };
        let Some(mut socket) = client.socket(&token, args).await else {
            assert!(!stop.load(Ordering::Relaxed), "no socket though the server is there");
            tokio::time::sleep(Duration::from_millis(30)).await;
            continue;
        };
        if fresh {
            cursor = Value::Null;
            runs.push(Vec::new());
        }
        let cut_after = random.random_range(1..30);
        let mut frames = 0;
        // The last connection is not cut: it reads to the end.
        while frames < cut_after || stop.load(Ordering::Relaxed) {
            let Some(frame) = socket.next().await else { break };
            frames += 1;
            if !frame["cursor"].is_null() {
                cursor = frame["cursor"].clone();
            }
            if frame["type"] == "message" && frame["subtype"].is_null() {
                assert_eq!(frame["channel"], json!(channel), "a message of a conversation that it is not in");
                let text = frame["text"].as_str().unwrap().to_owned();
                let last = text == END;
                runs.last_mut().unwrap().push(text);
                if last {
                    return runs;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_no_session_has_a_gap() {
    for engine in engines() {
        let mut server = Server::start(engine).await;
        let client = server.client();
        let (ada, general) = client.team("acme").await;
        let secret = json!({ "name": "secret", "is_private": true });
        let secret = client.call(&ada, "conversations.create", secret).await.good();
        let secret = secret["channel"]["id"].as_str().unwrap().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            let (_, token) = client.user(&ada, &format!("reader{number}")).await;
            let follower = follow(client.clone(), token, general.clone(), number as u64, stop.clone());
            sessions.push(tokio::spawn(follower));
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (client, ada, general, secret) = (client.clone(), ada.clone(), general.clone(), secret.clone());
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for number in 0..POSTS {
                        let text = format!("{writer}/{number}");
                        let ts = post(&client, &ada, &general, &text).await;
                        acknowledged.push((text, ts));
                        post(&client, &ada, &secret, &format!("secret {writer}/{number}")).await;
                    }
                    acknowledged
                })
            })
            .collect();
        for _ in 0..kills() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.kill();
            server.restart().await;
        }
        let mut acknowledged = HashMap::new();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        // Sessions that wait for their cut read on from here: to this one.
        let end = post(&client, &ada, &general, END).await;
        acknowledged.insert(END.to_owned(), end);

        let history = client.history(&ada, &general).await;
        let posts: Vec<(String, String)> = history
            .iter()
            .filter(|message| message["subtype"].is_null())
            .map(|message| (message["text"].as_str().unwrap().to_owned(), message["ts"].as_str().unwrap().to_owned()))
            .collect();
        assert!(posts.is_sorted_by(|one, next| one.1 < next.1), "{engine:?}: ts increases");
        assert_eq!(posts.iter().cloned().collect::<HashMap<_, _>>(), acknowledged, "{engine:?}");
        assert_eq!(posts.len(), acknowledged.len(), "{engine:?}: each once");

        let order: Vec<&str> = posts.iter().map(|(text, _)| text.as_str()).collect();
        for (number, session) in sessions.into_iter().enumerate() {
            let runs =
                tokio::time::timeout(Duration::from_secs(60), session).await.expect("a session that ends").unwrap();
            for run in runs.iter().filter(|run| !run.is_empty()) {
                let start = order.iter().position(|text| text == &run[0]).unwrap();
                let expected = &order[start..(start + run.len()).min(order.len())];
                assert_eq!(run, expected, "{engine:?}: session {number} has a hole, a double or a swap");
            }
        }
        let (status, said) = server.run(&["view", "verify"]);
        assert_eq!(status, 0, "{engine:?}: {said}");
        server.expect_no_errors();
    }
}
