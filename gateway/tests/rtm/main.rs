//! Sessions against clients that read as slowly, and end as suddenly, as a test wants.
#![allow(clippy::unwrap_used)]

mod catch_up;
mod elsewhere;
mod ends;
mod house;
mod start;

use std::time::Duration;

use house::*;
use serde_json::json;
use teamlog_gateway::RtmConfig;
use teamlog_ingest::commands::{Join, Leave, RevokeToken};

/// Frames are not held back.
fn config() -> RtmConfig {
    RtmConfig { burst_pause: Duration::from_millis(1), ..RtmConfig::default() }
}

#[tokio::test]
async fn whose_queue_overflows_catches_up_without_a_hole() {
    let house = House::new(RtmConfig { queue_max: 4, burst_frames: 7, ..config() }).await;
    for cursors in [false, true] {
        let mut socket = house.session(&house.bob, json!({ "cursors": cursors })).await;
        socket.live().await;
        let mut expected = Vec::new();
        // Far more than socket and queue take; nobody reads meanwhile.
        for number in 0..60 {
            expected.push(format!("{number} {cursors}"));
            house.say(&house.ada, expected.last().unwrap()).await;
        }
        let last = expected.last().unwrap().clone();
        let frames = socket.up_to(|frame| frame["text"] == last).await;
        assert_eq!(texts(&frames), expected);
        // Live again: and a second time.
        for number in 60..100 {
            expected.push(format!("{number} {cursors}"));
            house.say(&house.ada, expected.last().unwrap()).await;
        }
        let last = expected.last().unwrap().clone();
        let frames = socket.up_to(|frame| frame["text"] == last).await;
        assert_eq!(texts(&frames), expected[60..]);
    }
}

#[tokio::test]
async fn a_cursor_between_two_frames_of_one_event_brings_the_rest_of_it() {
    let house = House::new(config()).await;
    let mut socket = house.session(&house.bob, json!({ "cursors": true })).await;
    socket.live().await;
    // For the one who joins: the channel, that they joined, and the message that says so.
    let other = house.channel("other").await;
    house.act(&house.bob, Join { conversation: other }).await;
    house.say(&house.ada, "behind it").await;
    let all = socket.up_to(|frame| frame["text"] == "behind it").await;
    let without_cursor = |frame: &serde_json::Value| {
        let mut frame = frame.clone();
        frame.as_object_mut().unwrap().remove("cursor");
        frame
    };
    let kinds: Vec<_> = all.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["channel_created", "channel_joined", "member_joined_channel", "message", "message"]);
    for (at, frame) in all.iter().enumerate().take(all.len() - 1) {
        let mut resumed = house.session(&house.bob, json!({ "cursors": true, "cursor": frame["cursor"] })).await;
        let rest = resumed.up_to(|frame| frame["text"] == "behind it").await;
        assert_eq!(rest[0]["type"], "hello");
        let (rest, expected): (Vec<_>, Vec<_>) =
            (rest[1..].iter().map(without_cursor).collect(), all[at + 1..].iter().map(without_cursor).collect());
        assert_eq!(rest, expected, "behind {}", frame["type"]);
    }
}

#[tokio::test]
async fn a_reconnect_url_is_good_again_and_goes_on_where_it_was_given() {
    let house = House::new(config()).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    let url = socket.live().await;
    house.say(&house.ada, "one").await;
    house.say(&house.ada, "two").await;
    drop(socket);
    for _ in 0..2 {
        let mut socket = house.open(&url);
        let frames = socket.up_to(|frame| frame["text"] == "two").await;
        assert_eq!(texts(&frames), ["one", "two"]);
    }
}

#[tokio::test]
async fn one_is_answered_and_not_told_what_one_said_oneself() {
    let house = House::new(config()).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    let mut second = house.session(&house.bob, json!({ "cursors": true })).await;
    let mut of_ada = house.session(&house.ada, json!({})).await;
    socket.live().await;
    second.live().await;
    of_ada.live().await;
    socket.send(&json!({ "id": 1, "type": "message", "channel": house.here, "text": "from bob" }));
    let frames = socket.up_to(|frame| frame["reply_to"] == 1).await;
    let acked = frames.last().unwrap();
    assert_eq!((&acked["ok"], &acked["text"]), (&json!(true), &json!("from bob")));
    house.say(&house.ada, "then").await;
    let frames = socket.up_to(|frame| frame["text"] == "then").await;
    assert_eq!(texts(&frames), ["then"], "their own words came back");
    // Every other session gets it, those of the same person too.
    for other in [&mut second, &mut of_ada] {
        let frames = other.up_to(|frame| frame["text"] == "then").await;
        assert_eq!(texts(&frames), ["from bob", "then"]);
        assert_eq!(frames.iter().find(|frame| frame["text"] == "from bob").unwrap()["ts"], acked["ts"]);
    }
    // With cursors the stream is whole; the answer comes no later than the message.
    second.send(&json!({ "id": 2, "type": "message", "channel": house.here, "text": "with cursors" }));
    let frames = second.up_to(|frame| frame["type"] == "message" && frame["text"] == "with cursors").await;
    assert!(frames.iter().any(|frame| frame["reply_to"] == 2 && frame["ok"] == true), "{frames:?}");
}

#[tokio::test]
async fn the_same_message_sent_twice_is_answered_twice_and_said_once() {
    let house = House::new(config()).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    socket.live().await;
    for id in [1, 2] {
        let frame = json!({
            "id": id, "type": "message", "channel": house.here, "text": "once", "client_msg_id": "a name of mine",
        });
        socket.send(&frame);
    }
    let mut frames = socket.up_to(|frame| frame["reply_to"].is_number()).await;
    frames.extend(socket.up_to(|frame| frame["reply_to"].is_number()).await);
    let answers: Vec<_> = frames.iter().filter(|frame| frame["reply_to"].is_number()).collect();
    assert!(answers.iter().all(|answer| answer["ok"] == true), "{answers:?}");
    assert_eq!(answers[0]["ts"], answers[1]["ts"]);
    house.say(&house.ada, "then").await;
    frames.extend(socket.up_to(|frame| frame["text"] == "then").await);
    assert_eq!(texts(&frames), ["then"]);
}

#[tokio::test]
async fn the_socket_is_answered_while_it_catches_up() {
    let config = RtmConfig { burst_frames: 1, burst_pause: Duration::from_secs(3600), ..config() };
    let house = House::new(config).await;
    let answer = house.connect(&house.bob, json!({})).await.unwrap();
    for text in ["one", "two", "three"] {
        house.say(&house.ada, text).await;
    }
    let mut socket = house.open(answer["url"].as_str().unwrap());
    let frames = socket.up_to(|frame| frame["text"] == "one").await;
    assert_eq!(frames.len(), 2, "{frames:?}");
    socket.send(&json!({ "id": 7, "type": "ping", "time": 12 }));
    assert_eq!(socket.frame().await.unwrap(), json!({ "type": "pong", "time": 12, "reply_to": 7 }));
    socket.send(&json!({ "type": "ping" }));
    assert_eq!(socket.frame().await.unwrap(), json!({ "type": "pong" }));
    // And it ends with its token.
    let hash = teamlog_cluster::token_hash(&house.bob.token);
    let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    house.act(&house.bob, RevokeToken { hash }).await;
    let frames = socket.rest().await;
    assert_eq!((frames, socket.closed), (vec![json!({ "type": "goodbye" })], Some(1008)));
    // So do the urls that it was given.
    let mut late = house.open(answer["url"].as_str().unwrap());
    assert_eq!(late.frame().await.unwrap()["error"]["code"], 1);
}

#[tokio::test]
async fn too_many_messages_are_refused_whichever_socket_they_come_by() {
    let house = House::new(RtmConfig { messages: Some((1, 3)), ..config() }).await;
    let mut sockets = [house.session(&house.bob, json!({})).await, house.session(&house.bob, json!({})).await];
    let mut refused = 0;
    for id in 0..6 {
        let socket = &mut sockets[id % 2];
        socket.send(&json!({ "id": id, "type": "message", "channel": house.here, "text": "again" }));
        let frames = socket.up_to(|frame| frame["reply_to"] == id).await;
        let answer = frames.last().unwrap();
        if answer["ok"] == false {
            let error = json!({ "code": -1, "msg": "slow down, too many messages..." });
            assert_eq!(answer["error"], error);
            refused += 1;
        }
    }
    assert!((1..=3).contains(&refused), "{refused} of 6");
}

#[tokio::test]
async fn a_flood_of_frames_is_dropped_and_typing_is_told_once_a_second() {
    let house = House::new(RtmConfig { frames: Some((1, 20)), ..config() }).await;
    let mut of_ada = house.session(&house.ada, json!({})).await;
    of_ada.live().await;
    let mut socket = house.session(&house.bob, json!({})).await;
    socket.live().await;
    for _ in 0..10 {
        socket.send(&json!({ "type": "typing", "channel": house.here }));
    }
    for id in 0..100 {
        socket.send(&json!({ "id": id, "type": "ping" }));
    }
    let frames = socket.up_to(|frame| frame["type"] == "error").await;
    assert_eq!(frames.last().unwrap()["error"]["code"], -1);
    let pongs = frames.iter().filter(|frame| frame["type"] == "pong").count();
    assert!((10..20).contains(&pongs), "{pongs} of 100");
    house.say(&house.ada, "then").await;
    let frames = of_ada.up_to(|frame| frame["text"] == "then").await;
    let typing = frames.iter().filter(|frame| frame["type"] == "user_typing").count();
    assert_eq!(typing, 1, "{frames:?}");
}

#[tokio::test]
async fn who_leaves_hears_of_it_and_of_nothing_behind_it() {
    let house = House::new(config()).await;
    let answer = house.connect(&house.bob, json!({})).await.unwrap();
    let mut live = house.session(&house.bob, json!({})).await;
    live.live().await;
    house.say(&house.ada, "with bob").await;
    house.act(&house.bob, Leave { conversation: house.here }).await;
    house.say(&house.ada, "without bob").await;
    house.act(&house.bob, Join { conversation: house.here }).await;
    house.say(&house.ada, "with bob again").await;
    let mut replayed = house.open(answer["url"].as_str().unwrap());
    for socket in [&mut live, &mut replayed] {
        let frames = socket.up_to(|frame| frame["text"] == "with bob again").await;
        assert_eq!(texts(&frames), ["with bob", "with bob again"]);
        let system: Vec<_> = frames.iter().filter_map(|frame| frame["subtype"].as_str()).collect();
        assert_eq!(system, ["channel_leave", "channel_join"]);
        assert!(frames.iter().any(|frame| frame["type"] == "channel_left"));
    }
}

#[tokio::test]
async fn nonsense_is_answered_and_forgiven() {
    let house = House::new(config()).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    socket.live().await;
    socket.send(&json!([1, 2]));
    assert_eq!(socket.frame().await.unwrap()["type"], "error");
    socket.send(&json!({ "id": 1 }));
    assert_eq!(socket.frame().await.unwrap()["reply_to"], 1);
    socket.send(&json!({ "id": 2, "type": "message", "channel": house.here }));
    let error = json!({ "code": 2, "msg": "message text is missing" });
    assert_eq!(socket.frame().await.unwrap(), json!({ "ok": false, "reply_to": 2, "error": error }));
    socket.send(&json!({ "id": 3, "type": "message", "channel": "C404", "text": "x" }));
    assert_eq!(socket.frame().await.unwrap()["error"]["msg"], "channel_not_found");
    // The bound of an idempotency key by HTTP.
    for (id, bytes, ok) in [(5, 240, true), (6, 241, false)] {
        let name = "n".repeat(bytes);
        let frame = json!({ "id": id, "type": "message", "channel": house.here, "text": "x", "client_msg_id": name });
        socket.send(&frame);
        let frames = socket.up_to(|frame| frame["reply_to"] == id).await;
        assert_eq!(frames.last().unwrap()["ok"], ok, "{frames:?}");
    }
    socket.send(&json!({ "id": 4, "type": "ping" }));
    assert_eq!(socket.frame().await.unwrap()["reply_to"], 4);
}
