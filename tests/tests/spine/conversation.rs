//! People talk: what one writes, the others see, over sockets and in the history.

use crate::harness::{Server, engines};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_posted_reaches_every_member_and_nobody_else() {
    for engine in engines() {
        let server = Server::start(engine).await;
        let client = server.client();
        let (ada, general) = client.team("acme").await;
        let (bob_id, bob) = client.user(&ada, "bob").await;
        let mut socket = client.socket(&bob, json!({})).await.unwrap();
        socket.expect("hello", |frame| frame["type"] == "hello").await;

        let post = json!({ "channel": general, "text": "one", "client_msg_id": "key-1" });
        let posted = client.call(&ada, "chat.postMessage", post.clone()).await.good();
        let again = client.call(&ada, "chat.postMessage", post).await.good();
        assert_eq!(posted["ts"], again["ts"], "a retry gives the first answer");
        let ts = posted["ts"].as_str().unwrap();
        socket.expect("the message", |frame| frame["type"] == "message" && frame["ts"] == ts).await;

        let reply = json!({ "channel": general, "text": "a reply", "thread_ts": ts });
        client.call(&bob, "chat.postMessage", reply).await.good();
        client.call(&ada, "chat.update", json!({ "channel": general, "ts": ts, "text": "edited" })).await.good();
        socket
            .expect("message_changed", |f| f["subtype"] == "message_changed" && f["message"]["text"] == "edited")
            .await;
        client.call(&bob, "reactions.add", json!({ "channel": general, "timestamp": ts, "name": "tada" })).await.good();
        let replies = client.call(&ada, "conversations.replies", json!({ "channel": general, "ts": ts })).await.good();
        let root = &replies["messages"][0];
        assert_eq!((&root["text"], &root["reply_count"]), (&json!("edited"), &json!(1)));
        assert_eq!(root["reactions"][0]["users"], json!([bob_id]));
        assert_eq!(replies["messages"][1]["text"], "a reply");

        socket.send(json!({ "id": 7, "type": "message", "channel": general, "text": "over the socket" })).await;
        let ack = socket.expect("an acknowledgement", |frame| frame["reply_to"] == 7).await;
        assert_eq!(ack["ok"], true, "{ack}");
        let history = client.history(&ada, &general).await;
        assert_eq!(history.last().unwrap()["ts"], ack["ts"]);

        let secret = json!({ "name": "secret", "is_private": true });
        let secret = client.call(&ada, "conversations.create", secret).await.good();
        let secret = secret["channel"]["id"].as_str().unwrap().to_owned();
        client.call(&ada, "chat.postMessage", json!({ "channel": secret, "text": "hidden" })).await.good();
        let asked = client.call(&bob, "conversations.history", json!({ "channel": secret })).await;
        assert_eq!(asked.error(), "channel_not_found");
        client.call(&ada, "chat.postMessage", json!({ "channel": general, "text": "last" })).await.good();
        socket
            .expect("the last message", |frame| {
                assert_ne!(frame["channel"], json!(secret), "leaked: {frame}");
                frame["text"] == "last"
            })
            .await;

        let (status, said) = server.run(&["view", "verify"]);
        assert_eq!(status, 0, "{engine:?}: {said}");
        server.expect_no_errors();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_brings_exactly_what_was_missed_and_a_ticket_is_good_once() {
    for engine in engines() {
        let server = Server::start(engine).await;
        let client = server.client();
        let (ada, general) = client.team("acme").await;
        let (_, bob) = client.user(&ada, "bob").await;
        let post = |text: &str| client.call(&ada, "chat.postMessage", json!({ "channel": general, "text": text }));

        let connected = client.call(&bob, "rtm.connect", json!({ "cursors": true })).await.good();
        let url = connected["url"].as_str().unwrap();
        let mut socket = crate::harness::Socket::open(url).await.unwrap();
        post("one").await.good();
        let one = socket.expect("one", |frame| frame["text"] == "one").await;
        let mut used = crate::harness::Socket::open(url).await.unwrap();
        let refused = used.expect("an error", |frame| frame["type"] == "error").await;
        assert_eq!(refused["error"]["code"], 1);
        drop(socket);
        post("two").await.good();
        post("three").await.good();

        let resume = json!({ "cursor": one["cursor"], "cursors": true });
        let mut socket = client.socket(&bob, resume).await.unwrap();
        let first = socket.expect("a message", |frame| frame["type"] == "message").await;
        let second = socket.expect("a message", |frame| frame["type"] == "message").await;
        assert_eq!((&first["text"], &second["text"]), (&json!("two"), &json!("three")), "nothing else, and in order");

        let token = client.call(&bob, "auth.revoke", json!({})).await.good();
        assert_eq!(token["revoked"], true);
        socket.expect("goodbye", |frame| frame["type"] == "goodbye").await;
        assert_eq!(client.call(&bob, "auth.test", json!({})).await.error(), "token_revoked");
        server.expect_no_errors();
    }
}
