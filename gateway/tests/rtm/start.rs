//! What `rtm.start` says is as of the place at which its session begins.

use serde_json::{Value, json};

use crate::{config, house::*};

fn unread(started: &Value, channel: &str) -> u64 {
    let channels = started["channels"].as_array().unwrap();
    channels.iter().find(|one| one["id"] == channel).unwrap()["unread_count"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_is_counted_as_unread_or_comes_over_the_socket() {
    let house = House::new(config()).await;
    let here = house.here.to_string();
    let mut began = Vec::new();
    let posting = async {
        for number in 0..100 {
            house.say(&house.ada, &format!("{number}")).await;
        }
        house.say(&house.ada, "end").await;
    };
    let starting = async {
        for _ in 0..15 {
            let started = house.start(&house.bob, json!({})).await;
            began.push((unread(&started, &here), house.open(started["url"].as_str().unwrap())));
        }
    };
    tokio::join!(posting, starting);
    for (counted, mut socket) in began {
        let came = socket.up_to(|frame| frame["text"] == "end").await;
        assert_eq!(counted as usize + texts(&came).len(), 101, "{counted} were counted");
    }
    // Who goes on at a cursor is told nothing that would count twice.
    let cursor = house.connect(&house.bob, json!({})).await.unwrap()["cursor"].clone();
    house.say(&house.ada, "behind the cursor").await;
    let started = house.start(&house.bob, json!({ "cursor": cursor })).await;
    assert!(started["channels"].as_array().unwrap().iter().all(|channel| channel["unread_count"].is_null()));
}
