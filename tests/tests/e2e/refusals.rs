//! Bad input: a clear, typed error, and nothing lost.

use serde_json::{Value, json};
use teamlog_tests::{Engine, Options, Server};

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_its_code() {
    let server = Server::start(Engine::Embedded).await;
    let (ada, _) = server.team("refused").await;
    let nobody = server.api();
    nobody.bad("auth.test", json!({}), "not_authed").await;
    nobody.with_token("xoxp-nobody").bad("auth.test", json!({}), "invalid_auth").await;
    ada.bad("chat.fly", json!({}), "unknown_method").await;
    ada.bad("chat.postMessage", json!({ "channel": "C000000000", "text": "x" }), "channel_not_found").await;
    ada.bad("chat.postMessage", json!({ "channel": "#general" }), "no_text").await;
    ada.bad("conversations.list", json!({ "cursor": "nonsense" }), "invalid_cursor").await;
    let here = ada.good("conversations.create", json!({ "name": "here" })).await["channel"]["id"].clone();
    ada.bad("conversations.history", json!({ "channel": here, "cursor": "nonsense" }), "invalid_cursor").await;
    let long = "x".repeat(40_001);
    ada.bad("chat.postMessage", json!({ "channel": "#general", "text": long }), "msg_too_long").await;

    for (kind, body, code) in [
        ("application/json", "{\"channel\":", "invalid_json"),
        ("application/json", "[1, 2]", "json_not_object"),
        ("application/toml", "channel = 1", "invalid_post_type"),
    ] {
        let answer = ada.post("/api/chat.postMessage").header("content-type", kind).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["ok"], &answer["error"]), (&json!(false), &json!(code)), "{kind} {body}");
    }
    // What some clients send: a JSON content type and nothing in it.
    let empty = ada.post("/api/auth.test").header("content-type", "application/json").body("").send().await.unwrap();
    assert_eq!(empty.json::<Value>().await.unwrap()["ok"], true);
    let domain = json!({ "domain": "refused", "name": "x", "owner_name": "x", "owner_email": "x@example.com" });
    nobody.bad("teamlog.teams.create", domain, "domain_taken").await;
}

#[tokio::test]
async fn a_start_that_cannot_be_ends_with_status_2_and_the_reason() {
    let server = Server::start(Engine::Embedded).await;
    let (status, said) = server.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("is in use by another process"), "{said}");
    let elsewhere = Server::prepare(Engine::Embedded, Options::default()).await;
    let taken = server.url().trim_start_matches("http://");
    let (status, said) = elsewhere.run(&["serve", "--listen", taken]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("cannot listen on"), "{said}");
}
