//! Catching up with little room in memory.

use std::time::Duration;

use serde_json::json;
use teamlog_gateway::RtmConfig;
use teamlog_ingest::commands::{Join, Leave, Post};
use tokio::time::Instant;

use crate::{config, house::*};

#[tokio::test]
async fn what_does_not_fit_at_once_comes_in_slices_without_a_hole() {
    let house = House::new(RtmConfig { catch_up_bytes_max: 3000, ..config() }).await;
    let answer = house.connect(&house.bob, json!({})).await.unwrap();
    let other = house.channel("other").await;
    let mut expected = Vec::new();
    for number in 0..40 {
        expected.push(format!("{number}"));
        house.say(&house.ada, expected.last().unwrap()).await;
        // Between them lie some that do not concern him, and a stretch that does because he is inside for a while.
        let post = Post { conversation: Some(other), text: format!("other {number}"), ..Post::default() };
        house.act(&house.ada, post).await;
        match number {
            10 => drop(house.act(&house.bob, Join { conversation: other }).await),
            20 => drop(house.act(&house.bob, Leave { conversation: other }).await),
            _ => {}
        }
        if (11..=20).contains(&number) {
            expected.push(format!("other {number}"));
        }
    }
    let mut socket = house.open(answer["url"].as_str().unwrap());
    let frames = socket.up_to(|frame| frame["text"] == "39").await;
    assert_eq!(texts(&frames), expected);
    socket.live().await;
    house.say(&house.ada, "live").await;
    assert_eq!(socket.frame().await.unwrap()["text"], "live");
}

#[tokio::test]
async fn who_finds_no_room_to_catch_up_waits_until_another_has_drained_what_it_holds() {
    // A burst is one frame, and the next one never comes: so the first holds what it read.
    let pause = Duration::from_secs(3600);
    let config = RtmConfig { catch_ups_bytes_max: 4096, burst_frames: 1, burst_pause: pause, frames: None, ..config() };
    let house = House::new(config).await;
    let (first, second) =
        (house.connect(&house.bob, json!({})).await.unwrap(), house.connect(&house.bob, json!({})).await.unwrap());
    for number in 0..8 {
        house.say(&house.ada, &format!("{number}")).await;
    }
    let mut holds = house.open(first["url"].as_str().unwrap());
    holds.up_to(|frame| frame["text"] == "0").await;
    let mut waits = house.open(second["url"].as_str().unwrap());
    // It is answered meanwhile, and told nothing of what it missed: which would come within a few milliseconds.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(100) {
        waits.send(&json!({ "type": "ping", "id": 1 }));
        let frames = waits.up_to(|frame| frame["reply_to"] == 1).await;
        assert_eq!(texts(&frames), Vec::<&str>::new());
    }
    drop(holds);
    let frames = waits.up_to(|frame| frame["type"] == "message").await;
    assert_eq!(texts(&frames), ["0"]);
}
