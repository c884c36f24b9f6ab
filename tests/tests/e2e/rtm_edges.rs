//! What no friendly client sends, and what nobody may be shown.

use serde_json::{Value, json};
use teamlog_tests::{Engine, Server};

#[tokio::test]
async fn who_was_removed_is_shown_nothing_of_what_came_after() {
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let (ada, _) = server.team("removed").await;
        let (bob, bob_id) = server.person(&ada, "bob").await;
        let (cyd, cyd_id) = server.person(&ada, "cyd").await;
        let args = json!({ "name": "secret", "is_private": true });
        let secret = ada.good("conversations.create", args).await["channel"]["id"].as_str().unwrap().to_owned();
        let cursor = |answer: Value| answer["cursor"].as_str().unwrap().to_owned();
        let bobs = cursor(bob.good("rtm.connect", json!({})).await);
        let cyds = cursor(cyd.good("rtm.connect", json!({})).await);
        let users = format!("{bob_id},{cyd_id}");
        ada.good("conversations.invite", json!({ "channel": secret, "users": users })).await;
        ada.say(&secret, "for all three").await;
        ada.good("conversations.kick", json!({ "channel": secret, "user": bob_id })).await;
        ada.good("conversations.setTopic", json!({ "channel": secret, "topic": "xyzzy topic" })).await;
        ada.good("conversations.setPurpose", json!({ "channel": secret, "purpose": "xyzzy purpose" })).await;
        ada.good("conversations.rename", json!({ "channel": secret, "name": "xyzzy-name" })).await;
        let (dan, dan_id) = server.person(&ada, "dan").await;
        ada.good("conversations.invite", json!({ "channel": secret, "users": dan_id })).await;
        let said = ada.say(&secret, "xyzzy message").await;
        ada.good("chat.update", json!({ "channel": secret, "ts": said, "text": "xyzzy edit" })).await;
        dan.good("reactions.add", json!({ "channel": secret, "timestamp": said, "name": "xyzzy" })).await;
        ada.say("#general", "now").await;

        let heard = async |api: &teamlog_tests::Api, cursor: &str| {
            let mut socket = api.connect(json!({ "cursor": cursor })).await;
            let mut frames = Vec::new();
            while frames.last().is_none_or(|frame: &Value| frame["text"] != "now") {
                frames.push(socket.frame().await.unwrap());
            }
            frames
        };
        // Bob first: what is drawn for him is not kept from somebody who may see more.
        let bob = heard(&bob, &bobs).await;
        let kinds: Vec<_> = bob.iter().filter_map(|frame| frame["type"].as_str()).collect();
        assert!(kinds.contains(&"group_joined") && kinds.contains(&"group_left"), "{engine:?}: {kinds:?}");
        for frame in &bob {
            let raw = frame.to_string();
            let later = raw.contains("xyzzy") || (raw.contains(&secret) && raw.contains(&dan_id));
            assert!(!later, "{engine:?}: bob, who was removed before, is shown {frame}");
        }
        let cyd = heard(&cyd, &cyds).await;
        let edited = |frame: &&Value| frame["message"]["text"] == "xyzzy edit";
        assert_eq!(cyd.iter().filter(edited).count(), 1, "{engine:?}: cyd stays and hears all of it");
    }
}
