//! `search.*`: the language of queries, who finds what, and that what was acknowledged is found.

use serde_json::{Value, json};

use crate::{House, Shard, Team, text};

/// The texts that a search finds, sorted, after its total was checked.
async fn found(house: &House, token: &str, query: &str) -> Vec<String> {
    let answer = house.good("search.messages", token, json!({ "query": query })).await;
    let matches = answer["messages"]["matches"].as_array().unwrap();
    assert_eq!(answer["messages"]["total"], matches.len(), "{answer}");
    let mut texts: Vec<String> = matches.iter().map(|one| text(&one["text"])).collect();
    texts.sort();
    texts
}

async fn say(house: &House, token: &str, channel: &Value, said: &str) -> String {
    text(&house.good("chat.postMessage", token, json!({ "channel": channel, "text": said })).await["ts"])
}

#[tokio::test]
async fn queries_find_what_the_reader_may_read() {
    let local = [House::new(Shard::Follows).await, House::new(Shard::StandsStill).await];
    let elsewhere = [Shard::Follows, Shard::StandsStill].map(House::searching_elsewhere);
    for house in local.into_iter().chain(futures::future::join_all(elsewhere).await) {
        let Team { ada, bob, bob_id, .. } = Team::new(&house).await;
        let made = |name, is_private| json!({ "name": name, "is_private": is_private });
        let engines = house.good("conversations.create", &ada, made("engines", false)).await["channel"]["id"].clone();
        let vault = house.good("conversations.create", &ada, made("vault", true)).await["channel"]["id"].clone();
        let direct = house.good("conversations.open", &ada, json!({ "users": bob_id })).await["channel"]["id"].clone();
        house.good("conversations.join", &bob, json!({ "channel": engines })).await;
        let first = say(&house, &ada, &engines, "the engine runs").await;
        say(&house, &bob, &engines, "which engine runs the mill").await;
        say(&house, &ada, &vault, "a secret engine").await;
        say(&house, &ada, &direct, "your engine").await;
        house.good("reactions.add", &bob, json!({ "channel": engines, "timestamp": first, "name": "tada" })).await;

        let in_engines = ["the engine runs", "which engine runs the mill"];
        assert_eq!(found(&house, &ada, "engine").await.len(), 4);
        assert_eq!(
            found(&house, &bob, "engine").await,
            ["the engine runs", "which engine runs the mill", "your engine"]
        );
        for query in ["engine in:#engines", "engine in:engines", "\"engine runs\"", "engine -your"] {
            assert_eq!(found(&house, &bob, query).await, in_engines, "{query}");
        }
        assert_eq!(found(&house, &ada, "in:#vault").await, ["a secret engine"]);
        assert!(found(&house, &bob, "engine in:#vault").await.is_empty());
        assert_eq!(found(&house, &ada, "engine in:@bob").await, ["your engine"]);
        assert_eq!(found(&house, &ada, "engine from:@bob").await, [in_engines[1]]);
        assert_eq!(found(&house, &bob, "engine from:me").await, [in_engines[1]]);
        for query in ["has:reaction", "has::tada: engine", "engine has:reaction from:@ada"] {
            assert_eq!(found(&house, &ada, query).await, [in_engines[0]], "{query}");
        }
        assert!(found(&house, &ada, "engine before:2020-01-01").await.is_empty());
        assert_eq!(found(&house, &ada, "engine after:2020-01-01").await.len(), 4);
        // In quotes it is no modifier.
        assert!(found(&house, &ada, "\"engine from:me\"").await.is_empty());

        let args = json!({ "query": "engine in:engines", "sort": "timestamp", "sort_dir": "asc", "count": 1, "page": 2, "highlight": true });
        let page = house.good("search.messages", &ada, args).await["messages"].clone();
        assert_eq!(page["paging"], json!({ "count": 1, "total": 2, "page": 2, "pages": 2 }));
        assert_eq!(page["matches"][0]["text"], "which \u{e000}engine\u{e001} runs the mill");

        let edit = json!({ "channel": engines, "ts": first, "text": "the motor runs" });
        house.good("chat.update", &ada, edit).await;
        assert_eq!(found(&house, &ada, "engine in:engines").await, [in_engines[1]]);
        assert_eq!(found(&house, &ada, "motor has:reaction").await, ["the motor runs"]);
        house.good("chat.delete", &ada, json!({ "channel": engines, "ts": first })).await;
        assert!(found(&house, &ada, "motor").await.is_empty());
    }
}
