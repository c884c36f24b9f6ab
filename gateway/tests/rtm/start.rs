//! The answer of `rtm.start` is as of the place at which its session begins.

use serde_json::{Value, json};
use teamlog_ingest::commands::{Join, Post};

use crate::{config, house::*};

fn channels(started: &Value) -> &[Value] {
    started["channels"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_is_counted_as_unread_or_comes_over_the_socket() {
    let house = House::new(config()).await;
    // In each channel there is nothing to read before its one message.
    let mut quiet = Vec::new();
    for number in 0..40 {
        let channel = house.channel(&format!("quiet-{number}")).await;
        house.act(&house.bob, Join { conversation: channel }).await;
        quiet.push(channel);
    }
    house.say(&house.ada, "begin").await;
    let posting = async {
        for channel in &quiet {
            let post = Post { conversation: Some(*channel), text: "hello".to_owned(), ..Post::default() };
            house.act(&house.ada, post).await;
        }
    };
    let mut began = Vec::new();
    let starting = async {
        for _ in 0..20 {
            let started = house.start(&house.bob, json!({})).await;
            let counted: u64 = channels(&started).iter().filter_map(|one| one["unread_count"].as_u64()).sum();
            began.push((counted, house.open(started["url"].as_str().unwrap())));
        }
    };
    tokio::join!(posting, starting);
    house.say(&house.ada, "end").await;
    for (counted, mut socket) in began {
        let came = socket.up_to(|frame| frame["text"] == "end").await;
        assert_eq!(counted as usize + texts(&came).len(), quiet.len() + 2, "{counted} were counted");
    }
    // Who goes on at a cursor is told nothing that would count twice.
    let cursor = house.connect(&house.bob, json!({})).await.unwrap()["cursor"].clone();
    house.say(&house.ada, "behind the cursor").await;
    let started = house.start(&house.bob, json!({ "cursor": cursor })).await;
    assert!(channels(&started).iter().all(|channel| channel["unread_count"].is_null()));
}
