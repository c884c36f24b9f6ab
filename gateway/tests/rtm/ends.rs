//! How sessions end, and what their clients know by then.

use serde_json::json;

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
