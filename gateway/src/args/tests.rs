//! Arguments mean the same whatever they came as: what the SDKs send as JSON, as a form, as texts of JSON.

use serde_json::{Value, json};
use teamlog_schemas::{ConversationId, Ts, UserId};

use super::{Args, Arguments, JsonArray, Kind, Limit, Moment, Verbatim, args};
use crate::ApiError;

args! {
    #[derive(Clone, Debug, Default, PartialEq)]
    struct All {
        /// A text.
        text: Option<String>,
        /// A text that may be empty.
        verbatim: Option<Verbatim>,
        /// A flag.
        flag: bool,
        /// A number.
        count: Option<u64>,
        /// A page's size.
        limit: Option<Limit>,
        /// A time.
        latest: Option<Moment> [malformed "invalid_ts_latest"],
        /// A message.
        ts: Option<Ts> [malformed "bad_timestamp"],
        /// People.
        users: Vec<UserId>,
        /// Blocks.
        blocks: Option<JsonArray> [malformed "invalid_blocks"],
    }

    #[derive(Debug, PartialEq)]
    struct Needed {
        /// The conversation,
        /// in two lines.
        channel: ConversationId,
        /// The message.
        timestamp: Ts [missing "no_item_specified", malformed "bad_timestamp"],
        /// The name.
        name: String [missing "invalid_name"],
    }
}

fn args(values: Value) -> Args {
    match values {
        Value::Object(values) => Args::new(&values),
        other => panic!("{other} is no object"),
    }
}

fn all(values: Value) -> Result<All, ApiError> {
    All::parse(&args(values))
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
    result.unwrap_err().code().to_owned()
}

#[test]
fn what_is_declared_is_what_is_parsed() {
    let names: Vec<_> = Needed::DECLARED.iter().map(|one| (one.name, one.kind, one.missing, one.malformed)).collect();
    let expected = [
        ("channel", Kind::Id("conversation"), Some("channel_not_found"), "channel_not_found"),
        ("timestamp", Kind::Ts, Some("no_item_specified"), "bad_timestamp"),
        ("name", Kind::Text, Some("invalid_name"), "invalid_arguments"),
    ];
    assert_eq!(names, expected);
    assert_eq!(Needed::DECLARED[0].about.trim(), "The conversation, in two lines.");
    assert_eq!(All::DECLARED.iter().find(|one| one.name == "users").unwrap().kind, Kind::List(&Kind::Id("user")));
    assert_eq!(all(json!({})), Ok(All::default()));
}

#[test]
fn what_is_needed_has_its_codes() {
    let good = json!({ "channel": "C1", "timestamp": "1444959632.000002", "name": "wave" });
    let parsed = |key: &str, value: Value| {
        let mut values = good.clone();
        values[key] = value;
        Needed::parse(&args(values))
    };
    assert_eq!(parsed("channel", json!("C1")).unwrap().channel, "C1".parse().unwrap());
    for nothing in [json!(null), json!("")] {
        assert_eq!(code(parsed("channel", nothing.clone())), "channel_not_found");
        assert_eq!(code(parsed("timestamp", nothing.clone())), "no_item_specified");
        assert_eq!(code(parsed("name", nothing)), "invalid_name");
    }
    for other in [json!("general"), json!("U1"), json!("#C1")] {
        assert_eq!(code(parsed("channel", other)), "channel_not_found");
    }
    assert_eq!(code(parsed("timestamp", json!("1444959632"))), "bad_timestamp");
    assert_eq!(code(parsed("channel", json!({ "id": "C1" }))), "invalid_arguments");
}

#[test]
fn a_text_may_be_a_number_and_a_flag_a_text() {
    let text = |value: Value| all(json!({ "text": value })).map(|all| all.text);
    assert_eq!(text(json!("x")), Ok(Some("x".to_owned())));
    assert_eq!(text(json!(1_444_959_632.5)), Ok(Some("1444959632.5".to_owned())));
    assert_eq!(text(json!(true)), Ok(Some("true".to_owned())));
    assert_eq!((text(json!("")), text(json!(null))), (Ok(None), Ok(None)));
    assert_eq!(code(text(json!([]))), "invalid_arguments");
    let flag = |value: Value| all(json!({ "flag": value })).map(|all| all.flag);
    // Python's SDK sends 1 and 0, curl "true", others True.
    for yes in [json!(true), json!(1), json!("1"), json!("true"), json!("True")] {
        assert_eq!(flag(yes), Ok(true));
    }
    for no in [json!(false), json!(0), json!("0"), json!("false"), json!("False"), json!(""), json!(null)] {
        assert_eq!(flag(no), Ok(false));
    }
    for bad in [json!("yes"), json!(2), json!([true])] {
        assert_eq!(code(flag(bad)), "invalid_arguments");
    }
    let verbatim = |value: Value| all(json!({ "verbatim": value })).unwrap().verbatim;
    assert_eq!((verbatim(json!("")), verbatim(json!(null))), (Some(Verbatim(String::new())), None));
}

#[test]
fn a_list_is_json_or_split_by_commas() {
    let users = |value: Value| all(json!({ "users": value })).map(|all| all.users);
    let both: Vec<UserId> = ["U1", "U2"].map(|id| id.parse().unwrap()).into();
    for good in
        [json!("U1,U2"), json!("U1, U2,"), json!(["U1", "U2"]), json!("[\"U1\",\"U2\"]"), json!(["U1", "", "U2"])]
    {
        assert_eq!(users(good), Ok(both.clone()));
    }
    assert_eq!((users(json!("")), users(json!([])), users(json!("[]"))), (Ok(vec![]), Ok(vec![]), Ok(vec![])));
    for bad in [json!([1]), json!([["U1"]]), json!("[\"U1\""), json!({ "0": "U1" }), json!(1)] {
        assert_eq!(code(users(bad)), "invalid_array_arg");
    }
    assert_eq!(code(users(json!("U1,C2"))), "user_not_found");
    assert_eq!(code(users(json!("U1,".repeat(1001)))), "invalid_arguments");
}

#[test]
fn nested_json_comes_as_it_is_or_as_its_text() {
    let blocks = |value: Value| all(json!({ "blocks": value })).map(|all| all.blocks);
    let one = json!([{ "type": "section" }]);
    let text = JsonArray(one.to_string());
    for value in [one.clone(), json!(one.to_string())] {
        assert_eq!(blocks(value), Ok(Some(text.clone())));
    }
    assert_eq!(text.items(), Some(vec![json!({ "type": "section" })]));
    assert_eq!((blocks(json!("")), blocks(json!(" "))), (Ok(None), Ok(None)));
    for bad in [json!({ "type": "section" }), json!("{}"), json!(7), json!(true), json!("words")] {
        assert_eq!(code(blocks(bad)), "invalid_blocks");
    }
    // The command that takes the list parses it, and refuses these.
    for bad in ["[{", "[1", "[{}] x"] {
        let written = blocks(json!(bad)).unwrap().unwrap();
        assert_eq!(written.items::<Value>(), None, "{bad}");
    }
}

#[test]
fn a_time_may_be_shorter_than_a_ts_and_a_messages_name_may_not() {
    let time = |value: Value| all(json!({ "latest": value })).map(|all| all.latest);
    let ts = |text: &str| Ok(Some(Moment(text.parse::<Ts>().unwrap())));
    assert_eq!(time(json!("1444959632.000002")), ts("1444959632.000002"));
    assert_eq!(time(json!("1444959632")), ts("1444959632.000000"));
    assert_eq!(time(json!(1_444_959_632)), ts("1444959632.000000"));
    assert_eq!(time(json!("1444959632.5")), ts("1444959632.500000"));
    assert_eq!(
        (time(json!("0")), time(json!("999999999999"))),
        (Ok(Some(Moment(Ts::ZERO))), Ok(Some(Moment(Ts::MAX))))
    );
    for bad in ["yesterday", "-1", "1.0000001", "1e9", "."] {
        assert_eq!(code(time(json!(bad))), "invalid_ts_latest", "{bad}");
    }
    assert_eq!(code(all(json!({ "ts": "1444959632" }))), "bad_timestamp");
}

#[test]
fn a_limit_is_cut_and_nought_is_none() {
    let limit = |value: Value| all(json!({ "limit": value })).map(|all| all.limit);
    assert_eq!((limit(json!(5)), limit(json!("5"))), (Ok(Some(Limit(5))), Ok(Some(Limit(5)))));
    assert_eq!((limit(json!("0")), limit(json!(1_000_000))), (Ok(None), Ok(Some(Limit(1000)))));
    for bad in [json!("many"), json!(-1), json!(1.5)] {
        assert_eq!(code(limit(bad)), "invalid_limit");
    }
    assert_eq!(code(all(json!({ "count": "9".repeat(30) }))), "invalid_arguments");
}
