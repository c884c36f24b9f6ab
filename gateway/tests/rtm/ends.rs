//! How sessions end, and what their clients know by then.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
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
    let code = house.gateway.ingest().secrets().sign("ticket", &signed);
    signed.extend_from_slice(&code[..16]);
    let mut late = house.open(&URL_SAFE_NO_PAD.encode(signed));
    let frames = late.rest().await;
    let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!((kinds, late.closed), (vec!["hello", "goodbye"], Some(1008)));
}
