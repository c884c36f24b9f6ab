//! Pins are listed alike, whether rows or tail say it.

use serde_json::{Value, json};

use crate::{house::*, text};

#[tokio::test]
async fn rows_and_tail_list_pins_alike() {
    for follows in [false, true] {
        let house = House::new(if follows { Shard::Follows } else { Shard::StandsStill }).await;
        let Team { ada, bob, bob_id, .. } = Team::new(&house).await;
        let channel = text(&house.good("conversations.list", &ada, json!({ "limit": 1 })).await["channels"][0]["id"]);
        let say = async |words: &str, root: Option<&str>| {
            let args = json!({ "channel": channel, "text": words, "thread_ts": root });
            text(&house.good("chat.postMessage", &ada, args).await["ts"])
        };
        let (first, second) = (say("first", None).await, say("second", None).await);
        let reply = say("reply", Some(&first)).await;
        let gone = say("gone", None).await;
        for ts in [&first, &second, &reply, &gone] {
            house.good("pins.add", &bob, json!({ "channel": channel, "timestamp": ts })).await;
        }
        if follows {
            house.rows_follow().await;
        }
        house.good("chat.update", &ada, json!({ "channel": channel, "ts": first, "text": "edited" })).await;
        house.good("chat.delete", &ada, json!({ "channel": channel, "ts": gone })).await;
        house.good("pins.remove", &ada, json!({ "channel": channel, "timestamp": second })).await;

        let listed = house.good("pins.list", &ada, json!({ "channel": channel })).await;
        let items = listed["items"].as_array().unwrap();
        let texts: Vec<_> = items.iter().map(|item| text(&item["message"]["text"])).collect();
        assert_eq!(texts, ["reply", "edited"], "rows follow: {follows}");
        for item in items {
            assert_eq!((&item["type"], &item["channel"]), (&json!("message"), &json!(channel)));
            assert_eq!((&item["created_by"], &item["message"]["pinned_to"]), (&json!(bob_id), &json!([channel])));
            assert!(item["created"].is_u64() && item["message"]["permalink"].is_string(), "{item}");
        }
        let history = house.good("conversations.history", &ada, json!({ "channel": channel })).await;
        assert_eq!(history["pin_count"], 2);
        let is_pinned = |message: &&Value| message["pinned_to"].is_array();
        let pinned: Vec<_> = history["messages"].as_array().unwrap().iter().filter(is_pinned).collect();
        assert_eq!(pinned.len(), 1);
        assert_eq!(pinned[0]["pinned_info"]["pinned_by"], json!(bob_id));
        let info = house.good("channels.info", &ada, json!({ "channel": channel })).await;
        assert_eq!((&info["channel"]["pin_count"], &info["channel"]["has_pins"]), (&json!(2), &json!(true)));
        // Pins are the conversation's own lines, and nobody's words: they are not unread, cannot be edited or pinned.
        let lines = history["messages"].as_array().unwrap().iter();
        let lines: Vec<_> = lines.filter(|message| message["subtype"] == "pinned_item").collect();
        assert_eq!((lines.len(), &lines[0]["item_type"], &lines[0]["item"]["ts"]), (4, &json!("C"), &json!(gone)));
        house.good("conversations.mark", &bob, json!({ "channel": channel, "ts": second })).await;
        let info = house.good("conversations.info", &bob, json!({ "channel": channel })).await;
        assert_eq!(info["channel"]["unread_count"], 0);
    }
}
