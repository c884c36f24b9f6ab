//! Unread counts are equal, whether the messages are in rows or in the tail.

use serde_json::{Value, json};

use crate::{house::*, text};

/// Where what is counted lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lies {
    /// All of it in the tail.
    Tail,
    /// All of it in rows.
    Rows,
    /// Posts in rows, deletions in the tail.
    Both,
}

#[tokio::test]
async fn rows_and_tail_count_what_is_unread_alike() {
    for lies in [Lies::Tail, Lies::Rows, Lies::Both] {
        let house = House::new(if lies == Lies::Tail { Shard::StandsStill } else { Shard::Follows }).await;
        let Team { ada, bob, bob_id, .. } = Team::new(&house).await;
        let general = text(&house.good("conversations.list", &ada, json!({ "limit": 1 })).await["channels"][0]["id"]);
        let direct = text(&house.good("conversations.open", &ada, json!({ "users": bob_id })).await["channel"]["id"]);
        let say = async |channel: &str, words: String, root: Option<&str>| {
            let args = json!({ "channel": channel, "text": words, "thread_ts": root });
            text(&house.good("chat.postMessage", &ada, args).await["ts"])
        };
        let read = say(&general, "read".to_owned(), None).await;
        let called = say(&general, format!("<@{bob_id}> one"), None).await;
        say(&general, format!("<@{bob_id}> two"), None).await;
        say(&general, "<!channel> three".to_owned(), None).await;
        let plain = say(&general, "plain".to_owned(), None).await;
        say(&general, "plain too".to_owned(), None).await;
        // In its thread it calls him, but the channel does not count it.
        say(&general, format!("<@{bob_id}> in a thread"), Some(&read)).await;
        let read_directly = say(&direct, "read".to_owned(), None).await;
        let mut said = Vec::new();
        for number in 0..3 {
            said.push(say(&direct, format!("direct {number}"), None).await);
        }
        if lies == Lies::Both {
            house.rows_follow().await;
            house.stop_views().await;
        }
        for (channel, ts) in [(&general, &called), (&general, &plain), (&direct, &said[1])] {
            house.good("chat.delete", &ada, json!({ "channel": channel, "ts": ts })).await;
        }
        if lies == Lies::Rows {
            house.rows_follow().await;
        }
        let mut socket = house.socket(&bob).await;
        let mut count = async |channel: &str, ts: &str, frame: &str| {
            house.good("conversations.mark", &bob, json!({ "channel": channel, "ts": ts })).await;
            let mark = socket.up_to(frame).await;
            (mark["unread_count"].clone(), mark["mention_count"].clone())
        };
        assert_eq!(count(&general, &read, "channel_marked").await, (json!(3), json!(2)), "{lies:?}");
        assert_eq!(count(&direct, &read_directly, "im_marked").await, (json!(2), json!(2)), "{lies:?}");
        let info = house.good("conversations.info", &bob, json!({ "channel": general })).await;
        assert_eq!(info["channel"]["unread_count"], Value::from(3), "{lies:?}");
    }
}
