//! `/openapi.json`: the table of methods as an OpenAPI document.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Access, COMMON_ERRORS, Key, Method, Retry, Shape, TOKEN_ERRORS, WRITE_ERRORS, all};
use crate::{
    args::{Argument, Kind},
    limits,
};

/// Returns the document, encoded once. Its server is a relative URL, so it is true at whatever address it is read from.
pub(crate) fn openapi() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    DOCUMENT.clone()
}

fn document() -> Value {
    let paths: Map<String, Value> = all().map(|method| (format!("/api/{}", method.name), path(method))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "teamlog",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The Web API. It is Slack's, and `teamlog.*` beside it. Arguments may come as JSON, as a form or \
                in the query; an answer is an object with `ok`, and with `error` where that is false.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "A user's or bot's token." },
                "operator": { "type": "http", "scheme": "bearer", "description": "The operators' key." },
            },
            "headers": {
                "Retry-After": { "schema": { "type": "integer", "minimum": 1 }, "description": "Seconds to wait." },
            },
            "parameters": { "Idempotency-Key": idempotency_key() },
            "responses": {
                "RateLimited": failure("Too many calls.", &["ratelimited"], true),
                "TooLarge": failure("A body, query or text past its bound.", &["request_too_large"], false),
                "Internal": failure("A fault of the server.", &["internal_error"], false),
                "Unavailable": failure(
                    "The call could not be carried out, or, for `outcome_unknown`, nobody knows whether it was.",
                    &["service_unavailable", "request_timeout", "not_accepted", "outcome_unknown"],
                    true,
                ),
            },
        },
    })
}

/// The idempotency key of a call that appends events.
fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A retry with the key of an earlier call gets that call's answer.",
        "schema": { "type": "string", "maxLength": limits::KEY_BYTES_MAX },
    })
}

fn path(method: &Method) -> Value {
    let arguments = arguments(method);
    let body = json!({ "schema": arguments, "example": example(method) });
    let mut form = body.clone();
    form["encoding"] = encoding(method);
    let mut post = operation(method, "post");
    post["requestBody"] = json!({
        "required": method.arguments().iter().any(|argument| argument.missing.is_some()),
        "content": { "application/json": body, "application/x-www-form-urlencoded": form },
    });
    let mut get = operation(method, "get");
    let in_query = method.arguments().iter().filter(|argument| argument.kind != Kind::Everything).map(parameter);
    let parameters = get["parameters"].as_array().into_iter().flatten().cloned().chain(in_query).collect::<Vec<_>>();
    get["parameters"] = json!(parameters);
    json!({ "get": get, "post": post })
}

/// Returns the part of the description that GET and POST of a method share.
fn operation(method: &Method, verb: &str) -> Value {
    let group = method.name.rsplit_once('.').map_or("", |(group, _)| group);
    let about = match method.alias_of {
        Some(name) => format!("{} An old name of `{name}`.", method.about),
        None => method.about.to_owned(),
    };
    let security = match method.access {
        Access::Anybody => json!([]),
        Access::User => json!([{ "token": [] }]),
        Access::UserOrAdmin => json!([{ "token": [] }, { "operator": [] }]),
        Access::Admin => json!([{ "operator": [] }]),
    };
    let parameters = match method.retry {
        Retry::Once => json!([{ "$ref": "#/components/parameters/Idempotency-Key" }]),
        Retry::Repeatable => json!([]),
    };
    json!({
        "operationId": format!("{verb} {}", method.name),
        "tags": [group],
        "summary": about,
        "deprecated": method.alias_of.is_some(),
        "security": security,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "The answer, or a refusal.",
                "content": { "application/json": { "schema": { "oneOf": [answer(method), of_the_method(method)] } } },
            },
            "413": { "$ref": "#/components/responses/TooLarge" },
            "429": { "$ref": "#/components/responses/RateLimited" },
            "500": { "$ref": "#/components/responses/Internal" },
            "503": { "$ref": "#/components/responses/Unavailable" },
        },
    })
}

fn example(method: &Method) -> Value {
    method.examples.first().map_or_else(|| json!({}), |example| example())
}

fn arguments(method: &Method) -> Value {
    let named = || method.arguments().iter().filter(|argument| argument.kind != Kind::Everything);
    let properties: Map<String, Value> =
        named().map(|argument| (argument.name.to_owned(), property(argument))).collect();
    let required: Vec<_> =
        named().filter(|argument| argument.missing.is_some()).map(|argument| argument.name).collect();
    // An argument that no method declares is passed over.
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": true })
}

fn property(argument: &Argument) -> Value {
    let mut property = schema(argument.kind);
    property["description"] = json!(argument.about.trim());
    property
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Text | Kind::Cursor => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number => json!({ "type": "integer", "minimum": 0 }),
        Kind::Ts => json!({ "type": "string", "pattern": r"^\d+\.\d{6}$" }),
        Kind::Moment => json!({ "type": "string", "pattern": r"^\d{1,12}(\.\d{0,6})?$" }),
        Kind::Id(of) => json!({ "type": "string", "title": format!("The id of a {of}") }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
        Kind::List(item) => json!({ "type": "array", "items": schema(*item), "maxItems": limits::LIST_ARG_MAX }),
        Kind::Objects => json!({ "type": "array", "items": { "type": "object" } }),
        Kind::Object | Kind::Everything => json!({ "type": "object" }),
    }
}

/// How the arguments of a form are written that are no texts.
fn encoding(method: &Method) -> Value {
    let each = method.arguments().iter().filter_map(|argument| {
        let how = match argument.kind {
            Kind::List(_) => json!({ "style": "form", "explode": false }),
            Kind::Objects | Kind::Object => json!({ "contentType": "application/json" }),
            _ => return None,
        };
        Some((argument.name.to_owned(), how))
    });
    Value::Object(each.collect())
}

fn parameter(argument: &Argument) -> Value {
    let mut parameter = json!({
        "name": argument.name,
        "in": "query",
        "description": argument.about.trim(),
        "required": argument.missing.is_some(),
    });
    match argument.kind {
        Kind::Objects | Kind::Object => {
            parameter["content"] = json!({ "application/json": { "schema": schema(argument.kind) } });
        }
        Kind::List(_) => {
            parameter["schema"] = schema(argument.kind);
            parameter["style"] = json!("form");
            parameter["explode"] = json!(false);
        }
        _ => parameter["schema"] = schema(argument.kind),
    }
    parameter
}

fn answer(method: &Method) -> Value {
    let mut properties = Map::from_iter([("ok".to_owned(), json!({ "const": true }))]);
    properties.extend(method.answers.iter().map(|key| (key.name.to_owned(), key_schema(key))));
    let always = method.answers.iter().filter(|key| key.always).map(|key| key.name);
    let required: Vec<_> = ["ok"].into_iter().chain(always).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn key_schema(key: &Key) -> Value {
    let kind = match key.shape {
        Shape::Text => "string",
        Shape::Integer => "integer",
        Shape::Flag => "boolean",
        Shape::Object => "object",
        Shape::List => "array",
        Shape::Null => "null",
    };
    json!({ "type": kind, "description": key.about })
}

/// A refusal of a method. One that sends back what it gets may have any code.
fn of_the_method(method: &Method) -> Value {
    let mut refusal = refusal(&errors(method));
    if method.arguments().iter().any(|argument| argument.kind == Kind::Everything) {
        refusal["properties"]["error"] = json!({ "type": "string" });
    }
    refusal
}

/// The codes of a method's refusals: its own first.
fn errors(method: &Method) -> Vec<&'static str> {
    let of_token = if method.access == Access::Anybody { &[] } else { TOKEN_ERRORS };
    let of_writes = if method.writes() { WRITE_ERRORS } else { &[] };
    let mut codes = method.own_errors();
    for code in [of_token, of_writes, COMMON_ERRORS].concat() {
        if !codes.contains(&code) && !OF_OTHER_STATUS.contains(&code) {
            codes.push(code);
        }
    }
    codes
}

/// The codes that come with another status than 200.
const OF_OTHER_STATUS: &[&str] = &[
    "ratelimited",
    "request_too_large",
    "internal_error",
    "service_unavailable",
    "request_timeout",
    "not_accepted",
    "outcome_unknown",
];

fn refusal(codes: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": { "ok": { "const": false }, "error": { "type": "string", "enum": codes } },
        "required": ["ok", "error"],
    })
}

fn failure(about: &str, codes: &[&str], has_wait: bool) -> Value {
    let mut failure = json!({
        "description": about,
        "content": { "application/json": { "schema": refusal(codes) } },
    });
    if has_wait {
        failure["headers"] = json!({ "Retry-After": { "$ref": "#/components/headers/Retry-After" } });
    }
    failure
}
