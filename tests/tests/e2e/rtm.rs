//! Sessions over raw websockets: where they begin, what they hear, how they end.

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Server, Socket};

/// The server, its owner and one more person, both in the channel.
async fn house(engine: Engine, domain: &str) -> (Server, Api, Api, String) {
    let server = Server::start(engine).await;
    let (ada, _) = server.team(domain).await;
    let (bob, _) = server.person(&ada, "bob").await;
    let made = ada.good("conversations.create", json!({ "name": "here" })).await;
    let here = made["channel"]["id"].as_str().unwrap().to_owned();
    bob.good("conversations.join", json!({ "channel": here })).await;
    (server, ada, bob, here)
}

/// The texts of the plain messages among frames.
fn texts(frames: &[Value]) -> Vec<&str> {
    let plain = |frame: &&Value| frame["type"] == "message" && frame["subtype"].is_null();
    frames.iter().filter(plain).map(|frame| frame["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_session_says_hello_and_then_what_happens() {
    for engine in Engine::all() {
        let (_server, ada, bob, here) = house(engine, "hello").await;
        let mut socket = bob.connect(json!({})).await;
        let ts = ada.say(&here, "good morning").await;
        let heard = socket.message("good morning").await;
        assert_eq!((&heard["ts"], &heard["channel"]), (&json!(ts), &json!(here)));
        assert!(heard.get("cursor").is_none(), "a cursor that nobody asked for: {heard}");

        socket.send(&json!({ "id": 7, "type": "message", "channel": here, "text": "to you too" })).await;
        let mut of_ada = ada.connect(json!({})).await;
        let acked = socket.until("the answer to a post", |frame| frame["reply_to"] == 7).await;
        assert_eq!((&acked["ok"], &acked["text"]), (&json!(true), &json!("to you too")));
        assert_eq!(ada.history(&here).await.last().unwrap()["ts"], acked["ts"]);

        socket.send(&json!({ "id": 8, "type": "ping", "time": 12 })).await;
        let pong = socket.until("a pong", |frame| frame["reply_to"] == 8).await;
        assert_eq!((&pong["type"], &pong["time"]), (&json!("pong"), &json!(12)));
        socket.send(&json!({ "id": 9, "type": "message", "channel": here })).await;
        let refused = socket.until("a refusal", |frame| frame["reply_to"] == 9).await;
        assert_eq!((&refused["ok"], &refused["error"]["code"]), (&json!(false), &json!(2)));

        socket.send(&json!({ "type": "typing", "channel": here })).await;
        of_ada.until("typing", |frame| frame["type"] == "user_typing" && frame["channel"] == here).await;
    }
}

#[tokio::test]
async fn a_cursor_brings_exactly_what_was_missed() {
    for engine in Engine::all() {
        let (mut server, ada, bob, here) = house(engine, "cursors").await;
        let mut socket = bob.connect(json!({ "cursors": true })).await;
        ada.say(&here, "heard").await;
        socket.message("heard").await;
        let cursor = socket.cursor.clone().unwrap();
        socket.cut();
        for text in ["missed 1", "missed 2", "missed 3"] {
            ada.say(&here, text).await;
        }
        // The same cursor is good as often as it is needed, and in another process too.
        for round in ["as it was", "started anew"] {
            let (ada, bob) = (ada.at(server.url()), bob.at(server.url()));
            let mut socket = bob.connect(json!({ "cursor": cursor })).await;
            ada.say(&here, round).await;
            let mut frames = Vec::new();
            while !texts(&frames).contains(&round) {
                frames.push(socket.frame().await.unwrap());
            }
            let mut expected = vec!["missed 1", "missed 2", "missed 3", "as it was"];
            if round != "as it was" {
                expected.push(round);
            }
            assert_eq!(texts(&frames), expected, "{engine:?}, {round}");
            if round == "as it was" {
                server.restart().await;
            }
        }
    }
}

#[tokio::test]
async fn what_happens_between_the_call_and_the_socket_is_heard() {
    for engine in Engine::all() {
        let (_server, ada, bob, here) = house(engine, "between").await;
        ada.say(&here, "before").await;
        let url = bob.good("rtm.start", json!({})).await["url"].as_str().unwrap().to_owned();
        ada.say(&here, "between").await;
        let mut socket = Socket::open(&url).await.unwrap();
        ada.say(&here, "after").await;
        let mut frames = Vec::new();
        while !texts(&frames).contains(&"after") {
            frames.push(socket.frame().await.unwrap());
        }
        assert_eq!(frames[0]["type"], "hello");
        assert_eq!(texts(&frames), ["between", "after"]);
    }
}

#[tokio::test]
async fn a_url_is_good_once_and_a_cursor_only_as_it_was_given() {
    let (server, _ada, bob, _) = house(Engine::Embedded, "tickets").await;
    let answer = bob.good("rtm.connect", json!({})).await;
    let url = answer["url"].as_str().unwrap();
    let mut first = Socket::open(url).await.unwrap();
    assert_eq!(first.frame().await.unwrap()["type"], "hello");
    let forged = format!("{}A", &url[..url.len() - 1]);
    let forged = if forged == url { format!("{}B", &url[..url.len() - 1]) } else { forged };
    for (url, what) in [(url, "a used url"), (&*forged, "a forged url")] {
        let mut refused = Socket::open(url).await.unwrap();
        let frames = refused.rest().await;
        let error = json!({ "type": "error", "error": { "code": 1, "msg": "Socket URL has expired" } });
        assert_eq!((frames, refused.closed), (vec![error], Some(1008)), "{what}");
    }

    let cursor = answer["cursor"].as_str().unwrap();
    // A letter in the middle: the last one may carry bits that mean nothing.
    let at = cursor.len() / 2;
    let letter = if &cursor[at..=at] == "A" { "B" } else { "A" };
    let forged = format!("{}{letter}{}", &cursor[..at], &cursor[at + 1..]);
    let (stranger, _) = server.team("strangers").await;
    for (api, cursor) in [(&bob, &*forged), (&bob, "nonsense"), (&stranger, cursor)] {
        api.bad("rtm.connect", json!({ "cursor": cursor }), "cursor_invalid").await;
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions() {
    for engine in Engine::all() {
        let (_server, ada, bob, here) = house(engine, "revoked").await;
        let mut socket = bob.connect(json!({})).await;
        let unused = bob.good("rtm.connect", json!({})).await["url"].as_str().unwrap().to_owned();
        bob.good("auth.revoke", json!({})).await;
        ada.say(&here, "not for bob any more").await;
        let frames = socket.rest().await;
        assert_eq!(texts(&frames), Vec::<&str>::new());
        assert_eq!((&frames.last().unwrap()["type"], socket.closed), (&json!("goodbye"), Some(1008)));
        let frames = Socket::open(&unused).await.unwrap().rest().await;
        assert_eq!(frames[0]["error"]["code"], 1, "{frames:?}");
        bob.bad("auth.test", json!({}), "token_revoked").await;
    }
}

#[tokio::test]
async fn a_server_that_stops_tells_where_to_go_on() {
    for engine in Engine::all() {
        let (mut server, ada, bob, here) = house(engine, "stopping").await;
        let mut socket = bob.connect(json!({})).await;
        ada.say(&here, "heard").await;
        socket.message("heard").await;
        let ((), frames) = tokio::join!(server.stop(), socket.rest());
        let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
        // There is one more before it if the session heard the message while it still caught up.
        assert!(kinds.ends_with(&["reconnect_url", "goodbye"]), "{engine:?}: {kinds:?}");
        assert_eq!(socket.closed, Some(1001));
        let ticket = frames[frames.len() - 2]["url"].as_str().unwrap().rsplit('/').next().unwrap();
        server.restart().await;
        // The server is at another address now; an operator's stays.
        let url = format!("{}/ws/{ticket}", server.url().replacen("http", "ws", 1));
        for round in ["once", "again"] {
            let mut socket = Socket::open(&url).await.unwrap();
            ada.at(server.url()).say(&here, round).await;
            let mut frames = Vec::new();
            while !texts(&frames).contains(&round) {
                frames.push(socket.frame().await.unwrap());
            }
            let expected: &[&str] = if round == "once" { &["once"] } else { &["once", "again"] };
            assert_eq!(texts(&frames), expected, "{engine:?}, {round}");
        }
    }
}
