//! The ways in which clients write one call: what their libraries send, right or nearly right.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use crate::{house::*, text};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A POST with this content type, token and body.
fn post(method: &str, content_type: &str, token: &str, body: impl Into<String>) -> Request<Body> {
    let built = Request::post(format!("/api/{method}")).header("content-type", content_type);
    built.header("authorization", format!("Bearer {token}")).body(Body::from(body.into())).unwrap()
}

async fn answer(house: &House, request: Request<Body>) -> Value {
    body(house.send(request).await).await
}

#[tokio::test]
async fn a_token_may_stand_in_many_places() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, ada_id, .. } = Team::new(&house).await;
    let header = |value: String| Request::get("/api/auth.test").header("authorization", value).body(Body::empty());
    let bare = |content_type: &str, body: String| {
        Request::post("/api/auth.test").header("content-type", content_type).body(Body::from(body))
    };
    for request in [
        header(format!("bearer {ada}")),
        header(format!("BEARER   {ada} ")),
        Request::get(format!("/api/auth.test?token={ada}")).body(Body::empty()),
        Request::post(format!("/api/auth.test?token={ada}")).body(Body::empty()),
        bare(FORM, format!("token={ada}")),
        bare(JSON, json!({ "token": ada }).to_string()),
        // The header goes before.
        Request::get("/api/auth.test?token=xoxp-x")
            .header("authorization", format!("Bearer {ada}"))
            .body(Body::empty()),
        // Python's SDK says that nothing is JSON.
        Request::post("/api/auth.test")
            .header("content-type", JSON)
            .header("authorization", format!("Bearer {ada}"))
            .body(Body::empty()),
    ] {
        let request = request.unwrap();
        let what = format!("{request:?}");
        assert_eq!(answer(&house, request).await["user_id"], ada_id, "{what}");
    }
    for request in [header(format!("Basic {ada}")), header(ada.clone()), header("Bearer ".to_owned())] {
        assert_eq!(answer(&house, request.unwrap()).await["error"], "not_authed");
    }
}

#[tokio::test]
async fn a_body_may_be_declared_in_many_ways() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, ada_id, .. } = Team::new(&house).await;
    let user = json!({ "user": ada_id }).to_string();
    for declared in [
        JSON,
        "application/json; charset=utf-8",
        "application/json;charset=utf8",
        "Application/JSON; Charset=\"UTF-8\"",
        "application/json; odd=1; charset=utf-8",
    ] {
        let found = answer(&house, post("users.info", declared, &ada, user.clone())).await;
        assert_eq!(found["user"]["id"], ada_id, "{declared}");
    }
    for (declared, sent, code) in [
        ("application/json; charset=utf-16", user.as_str(), "invalid_charset"),
        ("application/x-www-form-urlencoded; charset=latin1", "user=x", "invalid_charset"),
        ("application/xml", "<user/>", "invalid_post_type"),
        (JSON, "user=x", "invalid_json"),
        (JSON, "{\"user\": \"U1\",}", "invalid_json"),
        (JSON, "\"U1\"", "json_not_object"),
        (JSON, "null", "json_not_object"),
        (FORM, "user=%ff", "invalid_form_data"),
        (FORM, &"a=1&".repeat(300), "invalid_arguments"),
    ] {
        assert_eq!(
            answer(&house, post("users.info", declared, &ada, sent)).await["error"],
            code,
            "{declared}: {sent:.40}"
        );
    }
    let put = Request::put("/api/users.info").header("content-type", JSON).body(Body::from(user)).unwrap();
    assert_eq!(answer(&house, put).await["error"], "invalid_post_type");
}

#[tokio::test]
async fn of_a_name_twice_the_last_one_counts_and_a_body_goes_before_a_query() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, ada_id, bob_id, .. } = Team::new(&house).await;
    let twice = format!(r#"{{"user": "{bob_id}", "user": "{ada_id}"}}"#);
    assert_eq!(answer(&house, post("users.info", JSON, &ada, twice)).await["user"]["id"], ada_id);
    let twice = format!("user={bob_id}&user={ada_id}");
    assert_eq!(answer(&house, post("users.info", FORM, &ada, twice)).await["user"]["id"], ada_id);
    let both = post(&format!("users.info?user={bob_id}"), FORM, &ada, format!("user={ada_id}"));
    assert_eq!(answer(&house, both).await["user"]["id"], ada_id);
}

/// Values as clients have sent them: a list of one as a plain text in JSON, numbers as texts, booleans in four ways.
#[tokio::test]
async fn a_value_may_be_written_in_many_ways() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, bob_id, .. } = Team::new(&house).await;
    let made = house.good("teamlog.users.create", &ada, json!({ "name": "cyd" })).await;
    let cyd = text(&made["user"]["id"]);
    for (number, users) in
        [json!(format!("{bob_id},{cyd}")), json!([bob_id, cyd]), json!(format!("[\"{bob_id}\",\"{cyd}\"]"))]
            .into_iter()
            .enumerate()
    {
        let args = json!({ "name": format!("c{number}"), "is_private": 1 });
        let made = house.good("conversations.create", &ada, args).await;
        let channel = text(&made["channel"]["id"]);
        assert_eq!(made["channel"]["is_private"], true);
        house.good("conversations.invite", &ada, json!({ "channel": channel, "users": users })).await;
        let members = house.good("conversations.members", &ada, json!({ "channel": channel })).await;
        assert_eq!(members["members"].as_array().unwrap().len(), 3, "{users}");
    }
    // One person as a plain text.
    house.good("conversations.open", &ada, json!({ "users": bob_id })).await;

    let listed = |limit: Value| {
        let ada = ada.clone();
        let house = &house;
        async move { house.good("users.list", &ada, json!({ "limit": limit })).await["members"].as_array().unwrap().len() }
    };
    assert_eq!((listed(json!(1)).await, listed(json!("2")).await, listed(json!(0)).await), (1, 2, 3));
    let blocks = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "hello" } }]);
    let mut posted = Vec::new();
    for blocks in [blocks.clone(), json!(blocks.to_string()), json!(format!(" {blocks}\n"))] {
        let args = json!({ "channel": bob_id, "blocks": blocks, "thread_ts": null, "reply_broadcast": "False", "link_names": true });
        posted.push(house.good("chat.postMessage", &ada, args).await["message"]["blocks"].clone());
    }
    assert_eq!(posted, [blocks.clone(), blocks.clone(), blocks]);
    // A `ts` that went through a JSON number has lost its last digits: another message's must not be taken for it.
    let args = json!({ "channel": bob_id, "text": "hello" });
    let post = house.good("chat.postMessage", &ada, args).await;
    let rounded: f64 = text(&post["ts"]).parse().unwrap();
    let gone = json!({ "channel": post["channel"], "ts": (rounded * 100.0).round() / 100.0 });
    house.bad("chat.delete", &ada, gone, "message_not_found").await;
}
