//! Bad input: a clear, typed error, and nothing lost.

use crate::harness::{Engine, Server};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_calls_are_told_what_is_wrong() {
    let server = Server::start(Engine::Embedded).await;
    let client = server.client();
    let (ada, general) = client.team("acme").await;
    for (token, method, args, error) in [
        ("", "auth.test", json!({}), "not_authed"),
        ("xoxp-nonsense", "auth.test", json!({}), "invalid_auth"),
        (&*ada, "no.such", json!({}), "unknown_method"),
        (&*ada, "chat.postMessage", json!({ "channel": general }), "no_text"),
        (&*ada, "chat.postMessage", json!({ "channel": "C000000000", "text": "x" }), "channel_not_found"),
        (&*ada, "rtm.connect", json!({ "cursor": "forged" }), "cursor_invalid"),
        (&*ada, "conversations.history", json!({ "channel": general, "cursor": "forged" }), "invalid_cursor"),
    ] {
        assert_eq!(client.call(token, method, args).await.error(), error, "{method}");
    }
    let raw = reqwest::Client::new().post(format!("{}/api/chat.postMessage", server.url)).bearer_auth(&ada);
    let raw = raw.header("content-type", "application/json").body("{\"channel\":");
    let answer: serde_json::Value = raw.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["error"], "invalid_json");
    let mut forged =
        crate::harness::Socket::open(&format!("{}/ws/forged", server.url.replace("http", "ws"))).await.unwrap();
    let refused = forged.expect("an error", |frame| frame["type"] == "error").await;
    assert_eq!(refused["error"]["code"], 1);
    server.expect_no_errors();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_cannot_be_ends_with_status_2_and_the_reason() {
    let server = Server::start(Engine::Embedded).await;
    let (status, said) = server.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("is in use by another process"), "{said}");
    let elsewhere = tempfile::TempDir::new().unwrap();
    let taken = server.url.trim_start_matches("http://");
    let elsewhere = elsewhere.path().to_str().unwrap();
    let (status, said) = server.run(&["--data-dir", elsewhere, "serve", "--listen", taken]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("cannot listen on"), "{said}");
}
