//! Calls from end to end in one process: the transport, the write path, the rows and the tail.
#![allow(clippy::unwrap_used)]

mod dialects;
mod elsewhere;
mod homes;
mod house;
mod jobs;
mod pins;
mod search;
mod signup;
mod strangers;
mod table;
mod unread;

use std::time::Duration;

use axum::{body::Body, http::Request};
use house::*;
use serde_json::{Value, json};
use teamlog_gateway::{GatewayConfig, Rates, Signup};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn texts(page: &Value) -> Vec<String> {
    page["messages"].as_array().unwrap().iter().map(|message| text(&message["text"])).collect()
}

#[tokio::test]
async fn an_edit_of_another_version_than_it_names_is_refused() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, .. } = Team::new(&house).await;
    let channel = text(&house.good("conversations.create", &ada, json!({"name": "engines"})).await["channel"]["id"]);
    let ts = text(&house.good("chat.postMessage", &ada, json!({"channel": channel, "text": "page"})).await["ts"]);
    let edit =
        |expected: Value| json!({"channel": channel, "ts": ts, "text": "edited", "expected_edited_ts": expected});
    house.bad("chat.update", &ada, edit(json!("yesterday")), "bad_timestamp").await;
    house.bad("chat.update", &ada, edit(json!(ts)), "edit_conflict").await;
    let first = house.good("chat.update", &ada, edit(json!(0))).await;
    house.bad("chat.update", &ada, edit(json!(0)), "edit_conflict").await;
    house.good("chat.update", &ada, edit(first["message"]["edited"]["ts"].clone())).await;
    house.good("chat.update", &ada, json!({"channel": channel, "ts": ts, "text": "the last edit wins"})).await;
}

#[tokio::test]
async fn a_caller_sees_their_own_writes_at_once() {
    for shard in [Shard::Follows, Shard::StandsStill] {
        let house = House::new(shard).await;
        let Team { ada, bob, ada_id, bob_id } = Team::new(&house).await;
        let channel =
            text(&house.good("conversations.create", &ada, json!({"name": "engines"})).await["channel"]["id"]);
        house.good("conversations.join", &bob, json!({"channel": channel})).await;
        let again = house.good("conversations.join", &bob, json!({"channel": channel})).await;
        assert_eq!(again["warning"], "already_in_channel");
        let mut posted = Vec::new();
        for n in 0..5 {
            let post =
                house.good("chat.postMessage", &bob, json!({"channel": channel, "text": format!("page {n}")})).await;
            posted.push(text(&post["ts"]));
        }
        house.good("chat.update", &bob, json!({"channel": channel, "ts": posted[1], "text": "edited"})).await;
        house.good("chat.delete", &bob, json!({"channel": channel, "ts": posted[2]})).await;
        house.good("reactions.add", &ada, json!({"channel": channel, "timestamp": posted[3], "name": ":tada:"})).await;
        let reply = json!({"channel": channel, "text": "reply", "thread_ts": posted[4]});
        let answer = house.good("chat.postMessage", &ada, reply).await;
        let told = json!({
            "ok": true, "channel": channel, "ts": answer["ts"],
            "message": {
                "type": "message", "ts": answer["ts"], "user": ada_id, "text": "reply", "thread_ts": posted[4],
                "team": answer["message"]["team"], "parent_user_id": bob_id,
            },
        });
        assert_eq!(answer, told);

        let page = house.good("conversations.history", &ada, json!({"channel": channel, "limit": 3})).await;
        assert_eq!(texts(&page), ["page 4", "page 3", "edited"]);
        assert_eq!(page["messages"][0]["reply_count"], 1);
        assert_eq!(page["messages"][1]["reactions"], json!([{"name": "tada", "users": [ada_id], "count": 1}]));
        let (mut all, mut cursor) = (texts(&page), text(&page["response_metadata"]["next_cursor"]));
        while !cursor.is_empty() {
            let args = json!({"channel": channel, "limit": 2, "cursor": cursor});
            let page = house.good("conversations.history", &ada, args).await;
            all.extend(texts(&page));
            cursor = text(&page["response_metadata"]["next_cursor"]);
        }
        let join = |id: &str| format!("<@{id}> has joined the channel");
        assert_eq!(all, ["page 4", "page 3", "edited", "page 0", &join(&bob_id), &join(&ada_id)]);
        let args = json!({"channel": channel, "oldest": posted[0], "latest": posted[3], "inclusive": true});
        assert_eq!(texts(&house.good("conversations.history", &ada, args).await), ["page 3", "edited", "page 0"]);
        let thread = house.good("conversations.replies", &bob, json!({"channel": channel, "ts": posted[4]})).await;
        assert_eq!(texts(&thread), ["page 4", "reply"]);
        assert_eq!(thread["messages"][1]["parent_user_id"], bob_id);
    }
}

#[tokio::test]
async fn what_is_private_is_not_found() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, bob, bob_id, .. } = Team::new(&house).await;
    let args = json!({"name": "secret", "is_private": true});
    let secret = text(&house.good("conversations.create", &ada, args).await["channel"]["id"]);
    let ts = text(&house.good("chat.postMessage", &ada, json!({"channel": secret, "text": "psst"})).await["ts"]);
    let item = json!({"channel": secret, "timestamp": ts});
    for (method, args) in [
        ("conversations.info", json!({"channel": secret})),
        ("conversations.history", json!({"channel": secret})),
        ("conversations.replies", json!({"channel": secret, "ts": ts})),
        ("conversations.members", json!({"channel": secret})),
        ("conversations.join", json!({"channel": secret})),
        ("conversations.mark", json!({"channel": secret, "ts": ts})),
        ("chat.postMessage", json!({"channel": secret, "text": "x"})),
        ("chat.postMessage", json!({"channel": "#secret", "text": "x"})),
        ("chat.getPermalink", json!({"channel": secret, "message_ts": ts})),
        ("reactions.get", item.clone()),
        ("groups.info", json!({"channel": secret})),
    ] {
        house.bad(method, &bob, args, "channel_not_found").await;
    }
    let names = |page: Value| -> Vec<String> {
        page["channels"].as_array().unwrap().iter().map(|channel| text(&channel["name"])).collect()
    };
    let every = json!({"types": "public_channel,private_channel,im,mpim"});
    assert_eq!(names(house.good("conversations.list", &bob, every.clone()).await), ["general", "random"]);
    house.good("conversations.invite", &ada, json!({"channel": secret, "users": bob_id})).await;
    assert_eq!(names(house.good("users.conversations", &bob, every).await), ["general", "secret"]);
    house.good("reactions.get", &bob, item).await;
    house.good("conversations.kick", &ada, json!({"channel": secret, "user": bob_id})).await;
    house.bad("conversations.history", &bob, json!({"channel": secret}), "channel_not_found").await;
}

#[tokio::test]
async fn a_retry_gives_the_first_answer() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, bob_id, .. } = Team::new(&house).await;
    // To a person: the direct message is opened first, under a key of its own.
    let args = json!({"channel": bob_id, "text": "hello", "client_msg_id": "11111111-1111-4111-8111-111111111111"});
    let first = house.good("chat.postMessage", &ada, args.clone()).await;
    assert_eq!(first["message"]["client_msg_id"], args["client_msg_id"]);
    let again = house.good("chat.postMessage", &ada, args).await;
    assert_eq!((&again["ts"], &again["channel"]), (&first["ts"], &first["channel"]));
    let opened = house.good("conversations.open", &ada, json!({"users": bob_id, "return_im": true})).await;
    assert_eq!((&opened["already_open"], &opened["channel"]["id"]), (&json!(true), &first["channel"]));
    assert_eq!(opened["channel"]["user"], bob_id);
    let keyed = |key: &str| {
        Request::post("/api/conversations.create")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Bearer {ada}"))
            .header("idempotency-key", key)
            .body(Body::from("name=keyed"))
            .unwrap()
    };
    let (first, again) = (body(house.send(keyed("k")).await).await, body(house.send(keyed("k")).await).await);
    assert_eq!((&first["ok"], &first["channel"]["id"]), (&json!(true), &again["channel"]["id"]));
    assert_eq!(body(house.send(keyed("other")).await).await["error"], "name_taken");
    assert_eq!(body(house.send(keyed(&"k".repeat(241))).await).await["error"], "invalid_arguments");
}

#[tokio::test]
async fn tokens_are_good_until_they_are_revoked() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, bob, bob_id, .. } = Team::new(&house).await;
    let tested = house.good("auth.test", &bob, json!({})).await;
    assert_eq!((&tested["user_id"], text(&tested["bot_id"])), (&json!(bob_id), bob_id.replacen('U', "B", 1)));
    house.bad("auth.test", "xoxp-nonsense", json!({}), "invalid_auth").await;
    let forged = bob.replace(&bob[bob.len() - 4..], "0000");
    house.bad("auth.test", &forged, json!({}), "invalid_auth").await;
    let bare = Request::post("/api/auth.test").body(Body::empty()).unwrap();
    assert_eq!(body(house.send(bare).await).await["error"], "not_authed");
    let query = Request::get(format!("/api/auth.test?token={bob}")).body(Body::empty()).unwrap();
    assert_eq!(body(house.send(query).await).await["user_id"], bob_id);
    assert_eq!(house.good("auth.revoke", &bob, json!({})).await["revoked"], true);
    house.bad("auth.test", &bob, json!({}), "token_revoked").await;
    house.bad("no.suchMethod", &ada, json!({}), "unknown_method").await;
    // Operators give out another one.
    house.bad("teamlog.users.token", &ada, json!({"domain": "lovelace", "user": "bob"}), "invalid_auth").await;
    let given = house.good("teamlog.users.token", ADMIN_KEY, json!({"domain": "lovelace", "user": "bob"})).await;
    house.good("auth.test", given["token"].as_str().unwrap(), json!({})).await;
}

#[tokio::test]
async fn marks_move_and_the_sessions_hear_of_it() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, bob, bob_id, .. } = Team::new(&house).await;
    let general = text(&house.good("conversations.list", &ada, json!({"limit": 1})).await["channels"][0]["id"]);
    let mut socket = house.socket(&bob).await;
    let mut posted = Vec::new();
    for n in 0..3 {
        let args = json!({"channel": general, "text": format!("hello <@{bob_id}> {n}")});
        posted.push(text(&house.good("chat.postMessage", &ada, args).await["ts"]));
    }
    house.good("conversations.mark", &bob, json!({"channel": general, "ts": posted[0]})).await;
    let info = house.good("conversations.info", &bob, json!({"channel": general})).await;
    assert_eq!((&info["channel"]["last_read"], &info["channel"]["unread_count"]), (&json!(posted[0]), &json!(2)));
    let mark = socket.up_to("channel_marked").await;
    assert_eq!((&mark["channel"], &mark["ts"]), (&json!(general), &json!(posted[0])));
    assert_eq!((&mark["unread_count"], &mark["mention_count"]), (&json!(2), &json!(2)));
    house.bad("conversations.mark", &bob, json!({"channel": general, "ts": "soon"}), "invalid_timestamp").await;
}

#[tokio::test]
async fn who_may_make_a_team_is_a_setting() {
    let args = json!({"domain": "elsewhere", "owner_name": "eve", "owner_email": "eve@example.com"});
    let ask = |key: Option<&str>| {
        let mut args = args.clone();
        args["signup_key"] = json!(key);
        let built = Request::post("/api/teamlog.teams.create").header("content-type", "application/json");
        built.body(Body::from(args.to_string())).unwrap()
    };
    let house = House::new(Shard::Follows).await;
    assert_eq!(body(house.send_from("192.0.2.1:9", ask(None)).await).await["error"], "signup_closed");
    let mut passed_on = ask(None);
    passed_on.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    assert_eq!(body(house.send(passed_on).await).await["error"], "signup_closed");
    assert_eq!(body(house.send(ask(None)).await).await["ok"], true);
    assert_eq!(body(house.send(ask(None)).await).await["error"], "domain_taken");

    let config =
        GatewayConfig { signup: Signup::Key, signup_key: Some("open sesame".to_owned()), ..Default::default() };
    let house = House::with(Shard::Follows, config).await;
    assert_eq!(body(house.send(ask(None)).await).await["error"], "signup_closed");
    assert_eq!(body(house.send(ask(Some("open"))).await).await["error"], "signup_closed");
    assert_eq!(body(house.send_from("192.0.2.1:9", ask(Some("open sesame"))).await).await["ok"], true);
}

#[tokio::test]
async fn whoever_calls_too_fast_is_told_when_to_come_again() {
    let rates = Rates { calls_per_second: 1, calls_burst: 20, ..Rates::default() };
    let house = House::with(Shard::Follows, GatewayConfig { rates, ..GatewayConfig::default() }).await;
    let Team { ada, .. } = Team::new(&house).await;
    let ask = || {
        let built = Request::get("/api/auth.test").header("authorization", format!("Bearer {ada}"));
        built.body(Body::empty()).unwrap()
    };
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(house.send(ask()).await);
    }
    assert_eq!(answers[0].status(), 200);
    let last = answers.pop().unwrap();
    assert_eq!((last.status().as_u16(), &last.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(body(last).await, json!({"ok": false, "error": "ratelimited"}));
}

#[tokio::test]
async fn a_call_that_panics_is_answered() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, .. } = Team::new(&house).await;
    let path = format!("/api/teamlog.jobs.list?kind={}", jobs::PANICS);
    let built = Request::get(path).header("authorization", format!("Bearer {ADMIN_KEY}"));
    let answer = house.send(built.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(body(answer).await, json!({"ok": false, "error": "internal_error"}));
    house.good("auth.test", &ada, json!({})).await;
}

#[tokio::test]
async fn what_is_refused_was_not_done() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, bob_id, .. } = Team::new(&house).await;
    house.bad("conversations.open", &ada, json!({"users": bob_id, "return_im": "perhaps"}), "invalid_arguments").await;
    let opened = house.good("conversations.open", &ada, json!({"users": bob_id})).await;
    assert_eq!(opened.get("already_open"), None);
}

/// A caller of a method that writes must learn that the call may have written.
#[tokio::test]
async fn a_write_that_takes_too_long_has_an_unknown_outcome() {
    let config = GatewayConfig { call_deadline: Duration::ZERO, ..GatewayConfig::default() };
    let house = House::with(Shard::Follows, config).await;
    let ask = |body: Body| {
        let built = Request::post("/api/teamlog.teams.create").header("content-type", "application/json");
        built.body(body).unwrap()
    };
    let args = json!({"domain": "slow", "owner_name": "ada", "owner_email": "ada@example.com"});
    let answer = house.send(ask(Body::from(args.to_string()))).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(body(answer).await, json!({"ok": false, "error": "outcome_unknown"}));
    // Of this one nothing has come to the method.
    let endless = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let answer = house.send(ask(Body::from_stream(endless))).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(body(answer).await, json!({"ok": false, "error": "request_timeout"}));
}

#[tokio::test]
async fn operators_see_how_it_is_doing() {
    let house = House::new(Shard::Follows).await;
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(house.send(get("/healthz")).await.status(), 200);
    assert_eq!(body(house.send(get("/readyz")).await).await["parts"]["log"]["state"], "ok");
    assert_eq!(house.send(get("/subjects")).await.status(), 200);
    assert_eq!(house.send(get("/")).await.status(), 200);
    let Team { ada, .. } = Team::new(&house).await;
    let status = house.good("teamlog.status", &ada, json!({})).await;
    assert!(status["counted"]["offset"].as_u64().unwrap() > 0, "{status}");
}
