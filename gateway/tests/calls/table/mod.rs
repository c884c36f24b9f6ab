//! The table of methods, every row of it: its examples succeed and give its keys, a missing, mistyped or foreign argument
//! and a call without a token are refused with a code that the row declares.
//!
//! A row that breaks a rule is named with what it broke; all rows are tried before the test fails.

mod world;

use std::collections::BTreeSet;

use axum::{
    body::Body,
    http::{Method as Verb, Request},
};
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};
use teamlog_gateway::{
    args::{Argument, Kind},
    methods::{self, Access, COMMON_ERRORS, Method, TOKEN_ERRORS, WRITE_ERRORS},
};
use teamlog_ingest::Refusal;

use crate::house::*;
use world::World;

/// Rows that are tried at once.
const AT_ONCE: usize = 8;

/// A rule that a row broke.
type Broken = String;

/// The way in which a call's arguments are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Json,
    /// As SDKs do it: nested values as JSON text, lists of texts with commas, booleans as `1` and `0`.
    Form,
    /// As a form, in the query of a GET.
    Query,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_keeps_its_word() {
    let house = House::whole().await;
    let strangers = World::new(&house, "strangers", false).await;
    let (house, strangers) = (&house, &strangers);
    let rows = stream::iter(methods::all().enumerate());
    let rows = rows.map(|(number, method)| async move {
        let mut broken = Vec::new();
        for style in [Style::Json, Style::Form, Style::Query] {
            let domain = format!("row-{number}-{style:?}").to_lowercase();
            let world = World::new(house, &domain, method.name.starts_with("teamlog.auth.")).await;
            let row = Row { house, world: &world, strangers, method, style };
            broken.extend(row.tried().await.into_iter().map(|why| format!("{} ({style:?}): {why}", method.name)));
        }
        broken
    });
    let broken: Vec<Broken> = rows.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.concat();
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn every_code_is_known() {
    // Those that no command refuses with: the gateway's own.
    let own = [
        "No query passed",
        "bad_timestamp",
        "bot_not_found",
        "cursor_expired",
        "cursor_invalid",
        "invalid_auth",
        "invalid_channel",
        "invalid_cursor",
        "invalid_items",
        "invalid_kind",
        "invalid_limit",
        "invalid_owner",
        "invalid_password",
        "invalid_presence",
        "invalid_time",
        "invalid_timestamp",
        "invalid_ts_latest",
        "invalid_ts_oldest",
        "invalid_types",
        "job_not_found",
        "limit_required",
        "no_channel",
        "no_item_specified",
        "no_jobs",
        "no_user",
        "not_accepted",
        "outcome_unknown",
        "signup_closed",
        "too_many_items",
        "users_list_not_supplied",
        "users_not_found",
    ];
    let mut used = BTreeSet::new();
    for method in methods::all() {
        for code in method.own_errors() {
            assert!(
                Refusal::by_code(code).is_some() || own.contains(&code),
                "{}: {code} is no known code",
                method.name
            );
            used.insert(code);
        }
        let repeated = method.errors.iter().find(|code| {
            let common = COMMON_ERRORS.contains(code)
                || method.access != Access::Anybody && TOKEN_ERRORS.contains(code)
                || method.retry == methods::Retry::Once && WRITE_ERRORS.contains(code);
            common || method.errors.iter().filter(|other| other == code).count() > 1
        });
        assert_eq!(repeated, None, "{}: declared more than once", method.name);
    }
    let unused: Vec<_> = own.into_iter().filter(|code| !used.contains(code)).collect();
    assert!(unused.is_empty(), "no method declares {unused:?}");
}

/// A row with what it is tried on.
struct Row<'a> {
    house: &'a House,
    world: &'a World,
    /// Another team.
    strangers: &'a World,
    method: &'static Method,
    style: Style,
}

impl Row<'_> {
    /// Tries everything; first what is refused, which changes nothing.
    async fn tried(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        broken.extend(self.without_a_token().await);
        broken.extend(self.without_an_argument().await);
        broken.extend(self.with_a_wrong_argument().await);
        broken.extend(self.with_ids_of_strangers().await);
        broken.extend(self.as_shown().await);
        broken
    }

    /// The arguments of the first example, of this team.
    fn arguments(&self) -> Map<String, Value> {
        self.world.filled(&self.method.examples.first().map_or_else(|| json!({}), |example| example()))
    }

    fn token(&self) -> Option<&str> {
        match self.method.access {
            Access::Anybody => None,
            Access::User | Access::UserOrAdmin => Some(&self.world.ada),
            Access::Admin => Some(ADMIN_KEY),
        }
    }

    async fn without_a_token(&self) -> Vec<Broken> {
        let mut tokens = vec![(None, "not_authed"), (Some("xoxp-nonsense"), "invalid_auth")];
        match self.method.access {
            Access::Anybody => return Vec::new(),
            Access::Admin => tokens.push((Some(self.world.ada.as_str()), "invalid_auth")),
            Access::User => tokens.push((Some(ADMIN_KEY), "invalid_auth")),
            Access::UserOrAdmin => {}
        }
        let mut broken = Vec::new();
        for (token, code) in tokens {
            let answer = self.call(token, self.arguments()).await;
            broken.extend(self.refused(&format!("with the token {token:?}"), &answer, Some(code)));
        }
        broken
    }

    async fn without_an_argument(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        for argument in self.method.arguments() {
            let Some(code) = argument.missing else { continue };
            for empty in [None, Some(json!("")), Some(Value::Null)] {
                let mut args = self.arguments();
                if args.remove(argument.name).is_none() {
                    broken.push(format!("its first example lacks {}, which must be given", argument.name));
                }
                let what = format!("{} is {empty:?}", argument.name);
                args.extend(empty.map(|empty| (argument.name.to_owned(), empty)));
                broken.extend(self.refused(&what, &self.call(self.token(), args).await, Some(code)));
            }
        }
        broken
    }

    async fn with_a_wrong_argument(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        for argument in self.method.arguments() {
            for (wrong, code) in wrong(argument) {
                // A form has texts only.
                if self.style != Style::Json && !wrong.is_string() {
                    continue;
                }
                let mut args = self.arguments();
                let what = format!("{} is {wrong}", argument.name);
                args.insert(argument.name.to_owned(), wrong);
                broken.extend(self.refused(&what, &self.call(self.token(), args).await, Some(code)));
            }
        }
        broken
    }

    async fn with_ids_of_strangers(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        for example in self.method.examples {
            let args = self.world.filled(&example());
            let foreign = self.strangers.filled(&example());
            for (name, value) in self.world.ids_in(&example()) {
                let mut args = args.clone();
                args.insert(name.clone(), foreign[&name].clone());
                let answer = self.call(self.token(), args).await;
                broken.extend(self.refused(&format!("{name} is {value} of another team"), &answer, None));
            }
        }
        broken
    }

    async fn as_shown(&self) -> Vec<Broken> {
        let (mut broken, mut given) = (Vec::new(), BTreeSet::new());
        if self.method.examples.is_empty() {
            broken.push("it has no example".to_owned());
        }
        for example in self.method.examples {
            let args = self.world.filled(&example());
            let answer = self.call(self.token(), args.clone()).await;
            if answer["ok"] != true {
                broken.push(format!("its example {} is answered with {answer}", Value::Object(args)));
                continue;
            }
            let keys = answer.as_object().into_iter().flatten().filter(|(name, _)| *name != "ok");
            for (name, value) in keys {
                match self.method.answers.iter().find(|key| key.name == name) {
                    None => broken.push(format!("it does not declare the answer's key {name}")),
                    Some(key) if !key.shape.fits(value) => {
                        broken.push(format!("{name} is {value}: no {:?}", key.shape))
                    }
                    Some(_) => {}
                }
                given.insert(name.clone());
            }
            let missing = self.method.answers.iter().filter(|key| key.always && answer.get(key.name).is_none());
            broken.extend(missing.map(|key| format!("{} is not in {answer}", key.name)));
        }
        let never = self.method.answers.iter().filter(|key| !given.contains(key.name));
        broken.extend(never.map(|key| format!("no example shows the key {}", key.name)));
        broken
    }

    /// The rules that an answer breaks which should be a refusal, with this code if one is given.
    fn refused(&self, what: &str, answer: &Value, code: Option<&str>) -> Option<Broken> {
        let found = answer["error"].as_str().filter(|_| answer["ok"] == false);
        match (found, code) {
            (None, _) => Some(format!("{what}: it answers {answer}")),
            (Some(found), Some(code)) if found != code => Some(format!("{what}: it refuses with {found}, not {code}")),
            (Some(found), _) if !self.method.may_refuse_with(found) => {
                Some(format!("{what}: it refuses with {found}, which it does not declare"))
            }
            (Some(_), _) => None,
        }
    }

    async fn call(&self, token: Option<&str>, args: Map<String, Value>) -> Value {
        body(self.house.send(self.request(token, args)).await).await
    }

    fn request(&self, token: Option<&str>, args: Map<String, Value>) -> Request<Body> {
        let path = format!("/api/{}", self.method.name);
        let mut request = Request::builder();
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (verb, path, body) = match self.style {
            Style::Json => {
                request = request.header("content-type", "application/json; charset=utf-8");
                (Verb::POST, path, Value::Object(args).to_string())
            }
            Style::Form => {
                request = request.header("content-type", "application/x-www-form-urlencoded");
                (Verb::POST, path, form(&args))
            }
            Style::Query => (Verb::GET, format!("{path}?{}", form(&args)), String::new()),
        };
        request.method(verb).uri(path).body(Body::from(body)).unwrap()
    }
}

/// Arguments as a form. What is `null` is left out.
fn form(args: &Map<String, Value>) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    let encoded = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let given = args.iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| format!("{}={}", encoded(name), encoded(&text(value)))).collect::<Vec<_>>().join("&")
}

/// Wrong values of an argument, and their codes.
fn wrong(argument: &Argument) -> Vec<(Value, &'static str)> {
    let (nonsense, object) = (json!("nonsense!"), json!({ "an": "object" }));
    let (malformed, mistyped) = (argument.malformed, "invalid_arguments");
    match argument.kind {
        Kind::Text if malformed == mistyped => vec![(object, mistyped)],
        Kind::Text
        | Kind::Flag
        | Kind::Number
        | Kind::Ts
        | Kind::Moment
        | Kind::Cursor
        | Kind::Id(_)
        | Kind::OneOf(_) => vec![(nonsense, malformed), (object, mistyped)],
        Kind::List(Kind::Id(_) | Kind::OneOf(_)) => {
            let array = "invalid_array_arg";
            vec![(nonsense, malformed), (object, array), (json!([7]), array), (json!("[\"U1\""), array)]
        }
        Kind::List(_) => vec![(object, "invalid_array_arg")],
        Kind::Objects => vec![(json!("[{"), malformed), (object, malformed), (json!("{}"), malformed)],
        Kind::Object => vec![(json!("[{"), malformed), (json!([]), malformed), (json!("7"), malformed)],
        Kind::Everything => Vec::new(),
    }
}
