//! Arguments mean the same, whatever they came as.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use teamlog_gateway::Args;
use teamlog_schemas::{ConversationId, Ts, UserId};

fn args(values: Value) -> Args {
    match values {
        Value::Object(values) => Args::new(values),
        other => panic!("{other} is no object"),
    }
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, teamlog_gateway::ApiError>) -> String {
    result.unwrap_err().code().to_owned()
}

#[test]
fn a_text_may_be_a_number_and_a_flag_a_text() {
    let args = args(json!({"text": "x", "ts": 1_444_959_632.5, "yes": "1", "no": false, "null": null, "list": []}));
    assert_eq!(args.text("text").unwrap().as_deref(), Some("x"));
    assert_eq!(args.text("ts").unwrap().as_deref(), Some("1444959632.5"));
    assert_eq!((args.flag("yes"), args.flag("no"), args.flag("null")), (Ok(Some(true)), Ok(Some(false)), Ok(None)));
    assert_eq!(code(args.text("list")), "invalid_arguments");
    assert_eq!(code(args.flag("text")), "invalid_arguments");
    assert_eq!(code(args.required("null", "no_text")), "no_text");
}

#[test]
fn a_list_is_json_or_split_by_commas() {
    let all: Vec<UserId> = ["U1", "U2"].map(|id| id.parse().unwrap()).into();
    for users in [json!("U1,U2"), json!("U1, U2,"), json!(["U1", "U2"]), json!("[\"U1\",\"U2\"]")] {
        assert_eq!(args(json!({"users": users})).ids("users", "user_not_found"), Ok(all.clone()));
    }
    assert_eq!(args(json!({})).list("users"), Ok(Vec::new()));
    assert_eq!(code(args(json!({"users": [1]})).list("users")), "invalid_array_arg");
    assert_eq!(code(args(json!({"users": "U1,C2"})).ids::<UserId>("users", "user_not_found")), "user_not_found");
    assert_eq!(code(args(json!({"users": "U1,".repeat(1001)})).list("users")), "invalid_arguments");
}

#[test]
fn nested_json_comes_as_it_is_or_as_its_text() {
    let blocks = json!([{"type": "section"}]);
    for value in [blocks.clone(), json!(blocks.to_string())] {
        assert_eq!(args(json!({"blocks": value})).json("blocks", "invalid_blocks"), Ok(Some(blocks.clone())));
    }
    assert_eq!(args(json!({"blocks": ""})).json("blocks", "invalid_blocks"), Ok(None));
    assert_eq!(code(args(json!({"blocks": "[{"})).json("blocks", "invalid_blocks")), "invalid_blocks");
}

#[test]
fn a_time_may_be_shorter_than_a_ts_and_a_messages_name_may_not() {
    let time = |text: &str| args(json!({"latest": text})).time("latest", "invalid_ts_latest");
    let ts = |text: &str| text.parse::<Ts>().unwrap();
    assert_eq!(time("1444959632.000002"), Ok(Some(ts("1444959632.000002"))));
    assert_eq!(time("1444959632"), Ok(Some(ts("1444959632.000000"))));
    assert_eq!(time("1444959632.5"), Ok(Some(ts("1444959632.500000"))));
    assert_eq!((time("0"), time("999999999999")), (Ok(Some(Ts::ZERO)), Ok(Some(Ts::MAX))));
    for bad in ["yesterday", "-1", "1.0000001", "1e9", "."] {
        assert_eq!(code(time(bad)), "invalid_ts_latest", "{bad}");
    }
    let name = args(json!({"ts": "1444959632"}));
    assert_eq!(code(name.ts("ts", "no_item_specified", "bad_timestamp")), "bad_timestamp");
    assert_eq!(code(name.ts("timestamp", "no_item_specified", "bad_timestamp")), "no_item_specified");
}

#[test]
fn whatever_is_no_channel_is_not_found() {
    let here: ConversationId = "C1".parse().unwrap();
    assert_eq!(args(json!({"channel": "C1"})).conversation("channel"), Ok(here));
    for value in [json!(""), json!("general"), json!("U1"), json!(null)] {
        assert_eq!(code(args(json!({"channel": value})).conversation("channel")), "channel_not_found");
    }
}

#[test]
fn a_limit_is_cut_and_nought_is_none() {
    let limit = |value: Value| args(json!({"limit": value})).limit("limit");
    assert_eq!((limit(json!(5)), limit(json!("5")), limit(json!("0"))), (Ok(Some(5)), Ok(Some(5)), Ok(None)));
    assert_eq!(limit(json!(1_000_000)), Ok(Some(1000)));
    assert_eq!(
        (code(limit(json!("many"))), code(limit(json!(-1)))),
        ("invalid_limit".to_owned(), "invalid_limit".to_owned())
    );
}
