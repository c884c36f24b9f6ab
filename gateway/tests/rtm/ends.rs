//! How sessions end, and what their clients know by then.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teamlog_gateway::RtmConfig;
use teamlog_log::{Offset, Position};
use teamlog_schemas::{TeamId, UserId};

use crate::{config, house::*};

#[tokio::test]
async fn a_frame_past_the_bound_ends_a_session_that_may_be_resumed() {
    let house = House::new(config()).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    socket.live().await;
    socket.send_too_much();
    let frames = socket.rest().await;
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert_eq!((&frames[1], socket.closed), (&json!({ "type": "goodbye" }), Some(1009)));
    house.say(&house.ada, "meanwhile").await;
    let mut again = house.open(frames[0]["url"].as_str().expect("a url to come back by"));
    let frames = again.up_to(|frame| frame["text"] == "meanwhile").await;
    assert_eq!(texts(&frames), ["meanwhile"]);
}

/// A ticket as it lies in a url, so that one can be made that no log of this house gave.
#[derive(Serialize, Deserialize)]
struct Ticket {
    team: TeamId,
    user: UserId,
    token: [u8; 32],
    position: Position,
    skip: u32,
    issued_ms: i64,
    nonce: Option<u64>,
    cursors: bool,
    batches: bool,
}

#[tokio::test]
async fn a_url_from_behind_the_end_of_the_log_says_to_start_over() {
    let house = House::new(config()).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    let url = socket.live().await;
    let signed = URL_SAFE_NO_PAD.decode(url.rsplit('/').next().unwrap()).unwrap();
    let mut ticket: Ticket = postcard::from_bytes(&signed[..signed.len() - 16]).unwrap();
    // As if an older copy of the log had been put back.
    ticket.position.offset = Offset(ticket.position.offset.0 + 1000);
    let mut signed = postcard::to_stdvec(&ticket).unwrap();
    let code = house.gateway.ingest().secrets().sign("ticket/2", &signed);
    signed.extend_from_slice(&code[..16]);
    let mut late = house.open(&URL_SAFE_NO_PAD.encode(signed));
    let frames = late.rest().await;
    let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!((kinds, late.closed), (vec!["hello", "goodbye"], Some(1008)));
}

#[tokio::test]
async fn one_url_opens_no_more_sockets_than_there_may_be() {
    let house = House::new(RtmConfig { sessions_max: 2, ..config() }).await;
    let mut first = house.session(&house.bob, json!({})).await;
    let url = first.live().await;
    let mut second = house.open(&url);
    second.live().await;
    let mut third = house.open(&url);
    let frames = third.rest().await;
    let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!((kinds, third.closed), (vec!["reconnect_url", "goodbye"], Some(1013)));
    // Once there is room, the url that it was given brings it in.
    second.send_too_much();
    second.rest().await;
    come_back(&house, &frames).await.live().await;
}

#[tokio::test]
async fn who_comes_back_waits_behind_those_who_are_joining_and_who_just_called_does_not() {
    let hold_off = Duration::from_millis(1)..Duration::from_millis(2);
    let pause = Duration::from_secs(3600);
    let bounds = RtmConfig { joining_max: 1, hold_off, burst_frames: 1, burst_pause: pause, ..config() };
    let house = House::new(bounds).await;
    let mut live = house.session(&house.bob, json!({})).await;
    let url = live.live().await;
    // One that has much to catch up on is joining for long.
    let (called, too) =
        (house.connect(&house.ada, json!({})).await.unwrap(), house.connect(&house.ada, json!({})).await.unwrap());
    for text in ["one", "two", "three"] {
        house.say(&house.bob, text).await;
    }
    let mut joining = house.open(called["url"].as_str().unwrap());
    joining.up_to(|frame| frame["text"] == "one").await;
    let mut back = house.open(&url);
    let frames = back.rest().await;
    let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!((kinds, back.closed), (vec!["reconnect_url", "goodbye"], Some(1013)));
    let mut admitted = house.open(too["url"].as_str().unwrap());
    admitted.up_to(|frame| frame["text"] == "one").await;
    // Its place is still the one at which it was turned away.
    drop((joining, admitted));
    let caught_up = come_back(&house, &frames).await.up_to(|frame| frame["type"] == "message").await;
    assert_eq!(texts(&caught_up), ["one"]);
}

/// Reconnects a client that was turned away with these frames, by the URL given each time, until it is let in.
async fn come_back(house: &House, frames: &[Value]) -> Socket {
    let mut given = frames[0].clone();
    loop {
        let mut socket = house.open(given["url"].as_str().unwrap());
        given = socket.frame().await.unwrap();
        if given["type"] == "hello" {
            return socket;
        }
    }
}
