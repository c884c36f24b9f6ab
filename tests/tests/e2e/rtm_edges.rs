//! Frames that no friendly client sends, and content that must be shown to nobody.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Server, Socket};

/// The largest frame, in bytes.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// The lifetime of a ticket.
const TICKET: Duration = Duration::from_secs(30);

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

        let heard = async |api: &Api, cursor: &str| {
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

#[tokio::test]
async fn what_is_no_frame_is_told_so_and_a_frame_past_the_bound_ends_the_session() {
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let (ada, _) = server.team("frames").await;
        let mut socket = ada.connect(json!({})).await;
        for (text, message) in [
            ("{\"type\":", "not a JSON object"),
            ("[1, 2]", "not a JSON object"),
            ("\u{0}", "not a JSON object"),
            ("", "not a JSON object"),
            ("{\"id\": 7}", "a frame without a type"),
        ] {
            socket.send_text(text.to_owned()).await;
            let refused = socket.until("a refusal", |frame| frame.get("error").is_some()).await;
            assert_eq!((&refused["error"]["code"], &refused["error"]["msg"]), (&json!(1), &json!(message)), "{text}");
        }
        // The session goes on, and takes as much as a frame may hold.
        let padding = |bytes: usize| " ".repeat(bytes - 31);
        let ping = format!("{{\"id\":8,\"type\":\"ping\",\"pad\":\"{}\"}}", padding(FRAME_BYTES_MAX));
        assert_eq!(ping.len(), FRAME_BYTES_MAX);
        socket.send_text(ping).await;
        socket.until("a pong", |frame| frame["reply_to"] == 8).await;
        // The head of a text frame of a byte more, masked by zeros. Not the whole of it: a server that closes before it has
        // read all resets the connection, and its goodbye may go down with it.
        let [high, low] = u16::try_from(FRAME_BYTES_MAX + 1).unwrap().to_be_bytes();
        socket.send_raw(&[0x81, 0x80 | 126, high, low, 0, 0, 0, 0]).await;
        let rest = socket.rest().await;
        assert_eq!(rest.last().map(|frame| &frame["type"]), Some(&json!("goodbye")), "{engine:?}: {rest:?}");
        assert_eq!(socket.closed, Some(1009), "{engine:?}");
    }
}

/// `{"type":"error"}` and the end.
async fn refused(url: &str) {
    let mut socket = Socket::open(url).await.unwrap();
    let frames = socket.rest().await;
    let error = json!({ "type": "error", "error": { "code": 1, "msg": "Socket URL has expired" } });
    assert_eq!((frames, socket.closed), (vec![error], Some(1008)), "{url}");
}

#[tokio::test]
async fn a_ticket_and_a_cursor_are_good_in_their_own_cluster_and_log_only() {
    let (one, two) = (Server::start(Engine::Embedded).await, Server::start(Engine::Embedded).await);
    let (ada, _) = one.team("one").await;
    let (eve, _) = two.team("two").await;
    let answer = ada.good("rtm.connect", json!({})).await;
    let (url, cursor) = (answer["url"].as_str().unwrap(), answer["cursor"].as_str().unwrap());
    // The same ticket at another cluster; a cursor as a ticket; none at all.
    let at = |server: &Server, ticket: &str| format!("{}/ws/{ticket}", server.url().replacen("http", "ws", 1));
    refused(&at(&two, url.rsplit('/').next().unwrap())).await;
    refused(&at(&one, cursor)).await;
    refused(&at(&one, "nonsense")).await;
    eve.bad("rtm.connect", json!({ "cursor": cursor }), "cursor_invalid").await;
    ada.bad("rtm.connect", json!({ "cursor": url.rsplit('/').next() }), "cursor_invalid").await;
    // Nothing of that has used it up.
    let mut socket = Socket::open(url).await.unwrap();
    assert_eq!(socket.frame().await.unwrap()["type"], "hello");
}

#[tokio::test]
async fn a_cursor_from_behind_the_end_of_a_restored_log_has_expired() {
    let mut server = Server::start(Engine::Embedded).await;
    let (ada, _) = server.team("restored").await;
    ada.say("#general", "kept").await;
    let kept = ada.good("rtm.connect", json!({})).await["cursor"].clone();
    server.stop().await;
    let backup = server.data_dir().with_file_name("backup");
    copy(&server.data_dir(), &backup);
    server.restart().await;
    let ada = ada.at(server.url());
    for number in 0..20 {
        ada.say("#general", &format!("lost {number}")).await;
    }
    let lost = ada.good("rtm.connect", json!({})).await["cursor"].clone();
    server.stop().await;
    std::fs::remove_dir_all(server.data_dir()).unwrap();
    copy(&backup, &server.data_dir());
    server.restart().await;
    let ada = ada.at(server.url());
    ada.bad("rtm.connect", json!({ "cursor": lost }), "cursor_expired").await;
    let mut socket = ada.connect(json!({ "cursor": kept })).await;
    ada.say("#general", "on it goes").await;
    let next = socket.until("a message", |frame| frame["type"] == "message").await;
    assert_eq!(next["text"], "on it goes");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_ticket_that_nobody_uses_expires() {
    let server = Server::start(Engine::Embedded).await;
    let (ada, _) = server.team("late").await;
    // Each is good once, so there are as many as there are tries.
    let mut urls = Vec::new();
    let asked = Instant::now();
    while urls.len() < 40 {
        urls.push(ada.good("rtm.connect", json!({})).await["url"].as_str().unwrap().to_owned());
    }
    let given = asked.elapsed();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut last_good = Duration::ZERO;
    let expired = loop {
        second.tick().await;
        let tried = asked.elapsed();
        let url = urls.pop().expect("a ticket expires while there are others to try");
        let mut socket = Socket::open(&url).await.unwrap();
        if socket.frame().await.unwrap()["type"] == "error" {
            break tried;
        }
        last_good = tried;
    };
    assert!(expired >= TICKET, "refused after {expired:?}");
    assert!(last_good <= TICKET + given + Duration::from_secs(1), "good after {last_good:?}");
    refused(&urls.pop().expect("one more")).await;
}
