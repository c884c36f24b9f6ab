//! The team that the examples of the methods speak of.
//!
//! `docs/methods.md` describes it. An example names things by placeholders; each team that a row is tried on has its own
//! ids for them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::{house::*, text};

/// A team as the examples have it.
pub(super) struct World {
    /// Ada's token. She owns the team and makes the calls.
    pub(super) ada: String,
    /// Placeholders and what they stand for here.
    stands_for: Vec<(&'static str, String)>,
}

impl World {
    /// Makes a team. Its domain and the one that is still free are `domain` and `domain-new`.
    pub(super) async fn new(house: &House, domain: &str, with_password: bool) -> World {
        let mut args = json!({
            "domain": domain, "name": "Lovelace", "owner_name": "ada", "owner_email": "ada@example.com",
        });
        if with_password {
            args["owner_password"] = json!("correct horse");
        }
        let made = house.good("teamlog.teams.create", "", args).await;
        let (ada, ada_id) = (text(&made["token"]), text(&made["user"]["id"]));
        let person = |name: &'static str, is_bot: bool| {
            let args = json!({ "name": name, "email": format!("{name}@example.com"), "is_bot": is_bot });
            house.good("teamlog.users.create", &ada, args)
        };
        let (bob, cyd, robot) = (person("bob", false).await, person("cyd", false).await, person("robot", true).await);
        let (bob, bob_id, cyd_id) = (text(&bob["token"]), text(&bob["user"]["id"]), text(&cyd["user"]["id"]));

        let channel = |by: String, args: Value| async move {
            text(&house.good("conversations.create", &by, args).await["channel"]["id"])
        };
        let engines = channel(ada.clone(), json!({ "name": "engines", "user_ids": [bob_id] })).await;
        let attic = channel(ada.clone(), json!({ "name": "attic" })).await;
        let lobby = channel(bob.clone(), json!({ "name": "lobby" })).await;
        let secret = json!({ "name": "secret", "is_private": true, "user_ids": [bob_id] });
        let secret = channel(ada.clone(), secret).await;
        let direct = |users: String| {
            let ada = ada.clone();
            async move { text(&house.good("conversations.open", &ada, json!({ "users": users })).await["channel"]["id"]) }
        };
        let (two, three) = (direct(bob_id.clone()).await, direct(format!("{bob_id},{cyd_id}")).await);
        house.good("conversations.archive", &ada, json!({ "channel": attic })).await;

        let mut ts = Vec::new();
        for channel in [&engines, &secret, &two, &three] {
            let hello = json!({ "channel": channel, "text": "hello", "attachments": [{ "text": "attached" }] });
            let posted = house.good("chat.postMessage", &ada, hello).await;
            ts.push(text(&posted["ts"]));
        }
        let reply = json!({ "channel": engines, "text": "well", "thread_ts": ts[0] });
        let reply = text(&house.good("chat.postMessage", &bob, reply).await["ts"]);
        let reaction = json!({ "channel": engines, "timestamp": ts[0], "name": "tada" });
        house.good("reactions.add", &ada, reaction).await;
        house.good("pins.add", &ada, json!({ "channel": engines, "timestamp": ts[0] })).await;

        let in_an_hour = (SystemTime::now() + Duration::from_secs(3600)).duration_since(UNIX_EPOCH).unwrap().as_secs();
        let later = json!({ "channel": engines, "text": "later", "post_at": in_an_hour });
        let later = text(&house.good("chat.scheduleMessage", &ada, later).await["scheduled_message_id"]);

        let stands_for = vec![
            ("Q0LATER", later),
            ("1800000000", in_an_hour.to_string()),
            ("T0LOVELACE", text(&made["team"]["id"])),
            ("U0ADA", ada_id),
            ("U0BOB", bob_id),
            ("U0CYD", cyd_id),
            ("B0ROBOT", text(&robot["user"]["profile"]["bot_id"])),
            ("C0ENGINES", engines),
            ("C0ATTIC", attic),
            ("C0LOBBY", lobby),
            ("G0SECRET", secret),
            ("D0BOB", two),
            ("G0THREE", three),
            ("1700000000.000100", ts[0].clone()),
            ("1700000000.000200", reply),
            ("1700000000.000300", ts[1].clone()),
            ("1700000000.000400", ts[2].clone()),
            ("1700000000.000500", ts[3].clone()),
            ("engine-works", format!("{domain}-new")),
            ("lovelace", domain.to_owned()),
        ];
        World { ada, stands_for }
    }

    /// An example's arguments with this team's ids and names.
    pub(super) fn filled(&self, example: &Value) -> Map<String, Value> {
        let filled = self
            .stands_for
            .iter()
            .fold(example.to_string(), |text, (placeholder, here)| text.replace(placeholder, here));
        match serde_json::from_str(&filled).unwrap() {
            Value::Object(args) => args,
            other => panic!("an example is an object, not {other}"),
        }
    }

    /// The arguments of an example that name things of the team by their ids.
    pub(super) fn ids_in(&self, example: &Value) -> Vec<(String, String)> {
        let is_id = |value: &String| {
            let is_placeholder = |(placeholder, _): &&(&str, String)| value.contains(placeholder);
            let found = self.stands_for.iter().find(is_placeholder).map(|(placeholder, _)| *placeholder);
            found.is_some_and(|found| found.as_bytes()[1] == b'0' && !found.contains('.'))
        };
        let args = example.as_object().into_iter().flatten();
        args.map(|(name, value)| (name.clone(), value.to_string())).filter(|(_, value)| is_id(value)).collect()
    }
}
