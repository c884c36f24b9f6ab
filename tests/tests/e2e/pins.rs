//! Pins, as sessions hear of them and as they outlive the process.

use serde_json::json;

use teamlog_tests::{Engine, Server};

#[tokio::test]
async fn a_pin_is_heard_by_members_live_and_again_by_cursor() {
    for engine in Engine::all() {
        let mut server = Server::start(engine).await;
        let (ada, ada_id) = server.team("pins").await;
        let (bob, bob_id) = server.person(&ada, "bob").await;
        let made = ada.good("conversations.create", json!({ "name": "boards" })).await;
        let here = made["channel"]["id"].as_str().unwrap().to_owned();
        let ts = ada.say(&here, "read me").await;
        let item = json!({ "channel": here, "timestamp": ts });
        bob.bad("pins.add", item.clone(), "not_in_channel").await;
        bob.good("conversations.join", json!({ "channel": here })).await;
        let before = bob.good("rtm.connect", json!({})).await["cursor"].clone();
        let mut socket = bob.connect(json!({})).await;

        bob.good("pins.add", item.clone()).await;
        let added = socket.until("the pin", |frame| frame["type"] == "pin_added").await;
        assert_eq!((&added["user"], &added["channel_id"]), (&json!(bob_id), &json!(here)));
        assert_eq!((&added["item_user"], &added["pin_count"]), (&json!(ada_id), &json!(1)));
        assert_eq!(added["item"]["message"]["text"], "read me");
        let said = socket.until("the line", |frame| frame["subtype"] == "pinned_item").await;
        assert_eq!(said["text"], format!("<@{bob_id}> pinned a message to this channel."));
        bob.bad("pins.add", item.clone(), "already_pinned").await;

        let started = bob.good("rtm.start", json!({})).await;
        let channel = started["channels"].as_array().unwrap().iter().find(|channel| channel["id"] == json!(here));
        assert_eq!(channel.unwrap()["pin_count"], 1, "{engine:?}");
        server.restart().await;
        let (ada, bob) = (ada.at(server.url()), bob.at(server.url()));
        let listed = ada.good("pins.list", json!({ "channel": here })).await;
        assert_eq!(listed["items"][0]["message"]["ts"], ts, "{engine:?}");
        let mut socket = bob.connect(json!({ "cursor": before })).await;
        let again = socket.until("the pin, again", |frame| frame["type"] == "pin_added").await;
        assert_eq!(again["item"], added["item"], "{engine:?}");
        ada.good("pins.remove", item.clone()).await;
        let removed = socket.until("the pin's end", |frame| frame["type"] == "pin_removed").await;
        assert_eq!((&removed["user"], &removed["has_pins"]), (&json!(ada_id), &json!(false)));
        assert_eq!(removed["pinned_info"]["pinned_by"], json!(bob_id));
        ada.bad("pins.remove", item, "no_pin").await;
        for view in [&["view", "verify"][..], &["log", "verify"]] {
            let (status, said) = server.run(view).await;
            assert_eq!(status, 0, "{engine:?}: {view:?}: {said}");
        }
    }
}
