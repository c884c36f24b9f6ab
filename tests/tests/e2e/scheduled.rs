//! Scheduled messages: listed, deleted, posted when they are due, and posted once though the server is killed among them.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Options, Server, size};

/// Messages that a conversation takes in five minutes.
const A_CHANNEL: usize = 30;

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn channel(api: &Api, name: &str) -> String {
    let made = api.good("conversations.create", json!({ "name": name })).await;
    made["channel"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_is_listed_deleted_and_posted_at_its_time() {
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let (ada, ada_id) = server.team("later").await;
        let (bob, _) = server.person(&ada, "bob").await;
        let here = channel(&ada, "here").await;
        let mut socket = ada.connect(json!({})).await;
        let at = |api: Api, text: &str, post_at: Value| {
            let args = json!({ "channel": here, "text": text, "post_at": post_at });
            async move { api.good("chat.scheduleMessage", args).await }
        };
        let hour = seconds() + 3600;
        // As numbers, text, and with a fraction; in the order in which they are due.
        let second = at(ada.clone(), "second", json!(hour + 1)).await;
        let first = at(ada.clone(), "first", json!(hour.to_string())).await;
        at(ada.clone(), "third", json!(format!("{}.75", hour + 2))).await;
        assert_eq!((&second["post_at"], &second["message"]["text"]), (&json!(hour + 1), &json!("second")));
        let texts = |page: &Value| {
            let messages = page["scheduled_messages"].as_array().unwrap();
            messages.iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let page = ada.good("chat.scheduledMessages.list", json!({ "limit": 2 })).await;
        assert_eq!(texts(&page), ["first", "second"], "{engine:?}");
        let next = json!({ "limit": 2, "cursor": page["response_metadata"]["next_cursor"] });
        let page = ada.good("chat.scheduledMessages.list", next).await;
        assert_eq!((texts(&page), &page["response_metadata"]["next_cursor"]), (vec!["third".to_owned()], &json!("")));
        let between = json!({ "channel": here, "oldest": hour + 1, "latest": hour + 1 });
        assert_eq!(texts(&ada.good("chat.scheduledMessages.list", between).await), ["second"]);
        // Nobody else's business.
        assert_eq!(texts(&bob.good("chat.scheduledMessages.list", json!({})).await), [""; 0]);
        let delete = |id: &Value| json!({ "channel": here, "scheduled_message_id": id });
        let id = &first["scheduled_message_id"];
        bob.bad("chat.deleteScheduledMessage", delete(id), "invalid_scheduled_message_id").await;
        ada.good("chat.deleteScheduledMessage", delete(id)).await;
        ada.bad("chat.deleteScheduledMessage", delete(id), "invalid_scheduled_message_id").await;
        for (post_at, code) in [
            (json!(1), "time_in_past"),
            (json!(seconds() + 121 * 24 * 3600), "time_too_far"),
            (json!("tomorrow"), "invalid_time"),
            (json!(-5), "invalid_time"),
            (json!(seconds() * 1000), "invalid_time"),
        ] {
            ada.bad("chat.scheduleMessage", json!({ "channel": here, "text": "x", "post_at": post_at }), code).await;
        }
        ada.bad("chat.scheduleMessage", json!({ "channel": here, "text": "x" }), "invalid_time").await;

        let due = seconds() + 6;
        at(ada.clone(), "now <@here>", json!(due)).await;
        let frame = socket.until("the message", |frame| frame["text"] == "now <@here>").await;
        assert_eq!((&frame["user"], &frame["type"]), (&json!(ada_id), &json!("message")));
        let ts: f64 = frame["ts"].as_str().unwrap().parse().unwrap();
        eprintln!("{engine:?}: {:.3} s late", ts - due as f64);
        assert!(ts >= due as f64, "{engine:?}: {ts} is before {due}");
        let history = ada.history(&here).await;
        assert_eq!(history.iter().filter(|message| message["text"] == "now <@here>").count(), 1);
        assert_eq!(texts(&ada.good("chat.scheduledMessages.list", json!({})).await), ["second", "third"]);
        assert_eq!(server.metric("teamlog_scheduled_posted_total").await, 1.0);
        for view in [&["view", "verify"][..], &["log", "verify"]] {
            let (status, said) = server.run(view).await;
            assert_eq!(status, 0, "{engine:?}: {view:?}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_is_posted_once_though_the_server_is_killed_among_them() {
    let messages = size("TEAMLOG_TEST_SCHEDULED", 1_000);
    for engine in Engine::all() {
        let mut server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let (mut ada, _) = server.team("many").await;
        let mut channels = Vec::new();
        for number in 0..messages.div_ceil(A_CHANNEL) {
            channels.push(channel(&ada, &format!("channel{number}")).await);
        }
        // All are there before the first is due, and all are due within two seconds.
        let due = seconds() + 50 + messages as u64 / 25;
        let began = Instant::now();
        let schedule = async |channel: &String, numbers: std::ops::Range<usize>| {
            for number in numbers {
                let post_at = due + (number % 2) as u64;
                let args = json!({ "channel": channel, "text": number.to_string(), "post_at": post_at });
                ada.good("chat.scheduleMessage", args).await;
            }
        };
        let each = channels.iter().zip((0..messages).step_by(A_CHANNEL));
        let all = each.map(|(channel, from)| schedule(channel, from..(from + A_CHANNEL).min(messages)));
        futures::future::join_all(all).await;
        eprintln!("{engine:?}: {messages} scheduled in {:?}", began.elapsed());
        assert!(seconds() < due, "{engine:?}: they took too long to schedule");

        let posted = async |ada: &Api| -> HashMap<String, Vec<f64>> {
            let mut posted: HashMap<String, Vec<f64>> = HashMap::new();
            for channel in &channels {
                for message in ada.history(channel).await {
                    if message["subtype"].is_null() {
                        let ts = message["ts"].as_str().unwrap().parse().unwrap();
                        posted.entry(message["text"].as_str().unwrap().to_owned()).or_default().push(ts);
                    }
                }
            }
            posted
        };
        let is_over = Instant::now() + Duration::from_secs(300);
        let mut kills = 0;
        let found = loop {
            assert!(Instant::now() < is_over, "{engine:?}: they are not posted");
            let found = posted(&ada).await;
            if found.len() >= messages {
                break found;
            }
            // Before the first, among them, and again.
            if kills < 3 && (kills == 0 || !found.is_empty()) {
                server.restart().await;
                ada = ada.at(server.url());
                kills += 1;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let twice: Vec<_> = found.iter().filter(|(_, all)| all.len() != 1).collect();
        assert!(twice.is_empty(), "{engine:?}: posted twice: {twice:?}");
        let late = |(text, all): (&String, &Vec<f64>)| all[0] - (due + text.parse::<u64>().unwrap() % 2) as f64;
        let late: Vec<f64> = found.iter().map(late).collect();
        assert!(late.iter().all(|late| *late >= 0.0), "{engine:?}: one is early");
        eprintln!("{engine:?}: {kills} kills, at most {:.1} s late", late.iter().copied().fold(0.0, f64::max));
        let list = ada.good("chat.scheduledMessages.list", json!({})).await;
        assert_eq!(list["scheduled_messages"], json!([]), "{engine:?}");
        for view in [&["view", "verify"][..], &["log", "verify"]] {
            let (status, said) = server.run(view).await;
            assert_eq!(status, 0, "{engine:?}: {view:?}: {said}");
        }
    }
}
