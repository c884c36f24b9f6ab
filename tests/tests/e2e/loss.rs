//! The server is killed in the middle of posting, again and again: what was acknowledged is there, once, under its `ts`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Options, Server, size};
use tokio::sync::watch;

const POSTERS: usize = 4;
/// Acknowledgements between two kills.
const BETWEEN: usize = 60;

/// The message's text, the key of its post, and the `ts` that the poster was told.
#[derive(Clone, Debug)]
struct Told {
    text: String,
    key: String,
    ts: String,
}

fn post(channel: &str, text: &str, key: &str) -> Value {
    json!({ "channel": channel, "text": text, "client_msg_id": key })
}

/// Posts until there is an answer, wherever the server is by then.
async fn insist(api: &Api, url: &mut watch::Receiver<String>, args: &Value) -> String {
    loop {
        let here = url.borrow_and_update().clone();
        match api.at(&here).call("chat.postMessage", args).await {
            Ok(body) if body["ok"] == true => return body["ts"].as_str().unwrap().to_owned(),
            Ok(body) => panic!("{args}: {body}"),
            // It is gone, or just goes, or comes: the same again under the same key.
            Err(_) => {
                let _ = tokio::time::timeout(Duration::from_millis(20), url.changed()).await;
            }
        }
    }
}

async fn keep_posting(
    (name, api, channel): (usize, Api, String),
    mut url: watch::Receiver<String>,
    acked: Arc<watch::Sender<usize>>,
    total: usize,
) -> Vec<Told> {
    let mut told = Vec::new();
    while *acked.borrow() < total {
        let text = format!("{name}/{}", told.len());
        let key = uuid::Uuid::new_v4().to_string();
        let ts = insist(&api, &mut url, &post(&channel, &text, &key)).await;
        told.push(Told { text, key, ts });
        acked.send_modify(|acked| *acked += 1);
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_by_kills() {
    let long = std::env::var("TEAMLOG_TEST_LONG").is_ok_and(|long| long == "1");
    let kills = size("TEAMLOG_TEST_KILLS", if long { 20 } else { 3 });
    for engine in Engine::all() {
        let mut server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let (ada, _) = server.team("kills").await;
        let made = ada.good("conversations.create", json!({ "name": "here" })).await;
        let here = made["channel"]["id"].as_str().unwrap().to_owned();
        let (url, _) = watch::channel(server.url().to_owned());
        let acked = Arc::new(watch::Sender::new(0));
        let posters: Vec<_> = (0..POSTERS)
            .map(|name| {
                let who = (name, ada.clone(), here.clone());
                tokio::spawn(keep_posting(who, url.subscribe(), acked.clone(), (kills + 1) * BETWEEN))
            })
            .collect();
        for kill in 1..=kills {
            acked.subscribe().wait_for(|acked| *acked >= kill * BETWEEN).await.unwrap();
            server.restart().await;
            url.send_replace(server.url().to_owned());
        }
        let mut told = Vec::new();
        for poster in posters {
            told.extend(poster.await.unwrap());
        }
        let ada = ada.at(server.url());
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for message in ada.history(&here).await.iter().filter(|message| message["subtype"].is_null()) {
            let text = |key: &str| message[key].as_str().unwrap().to_owned();
            found.entry(text("text")).or_default().push(text("ts"));
        }
        for one in &told {
            let there = found.remove(&one.text).unwrap_or_default();
            assert_eq!(there, [one.ts.as_str()], "{engine:?}: {one:?}");
        }
        assert!(found.is_empty(), "{engine:?}: nobody was told of {found:?}");
        for one in &told {
            let again = ada.good("chat.postMessage", post(&here, &one.text, &one.key)).await;
            assert_eq!(again["ts"], one.ts, "{engine:?}: a retry of {one:?}");
        }
        let messages = ada.history(&here).await.iter().filter(|message| message["subtype"].is_null()).count();
        assert_eq!(messages, told.len(), "{engine:?}: a retry posted again");
    }
}
