//! The HTTP response of a call's outcome.

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde_json::{Map, Value};

use crate::{ApiError, Reply};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");
const ACCEPTED: HeaderName = HeaderName::from_static("x-accepted-oauth-scopes");

/// Scopes are for show: every token may do what its user may.
const TOKEN_SCOPES: HeaderValue = HeaderValue::from_static("identify,read,post,client");

/// Renders the outcome of a call, good or bad, as a line of compact JSON.
pub(super) fn respond(outcome: Result<Reply, ApiError>, scope: Option<&'static str>, authed: bool) -> Response<Body> {
    let mut response = match outcome {
        Ok(Reply::Object(object)) => {
            let mut body = Map::new();
            body.insert("ok".to_owned(), Value::Bool(true));
            body.extend(object);
            json(StatusCode::OK, &body)
        }
        Ok(Reply::Encoded(bytes)) => encoded(StatusCode::OK, bytes),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = json(status, &error.body());
            if let Some(seconds) = error.retry_after() {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache, no-store, must-revalidate"));
    if authed {
        headers.insert(SCOPES, TOKEN_SCOPES);
    }
    if let Some(scope) = scope {
        headers.insert(ACCEPTED, HeaderValue::from_static(scope));
    }
    response
}

fn json(status: StatusCode, body: &Map<String, Value>) -> Response<Body> {
    let bytes = serde_json::to_vec(body).expect("a JSON value has string keys");
    encoded(status, bytes.into())
}

fn encoded(status: StatusCode, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(axum::body::to_bytes(response.into_body(), 4096).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_one_line_that_begins_with_ok() {
        let reply = Reply::from(json!({"text": "two\nlines"}));
        let response = respond(Ok(reply), Some("chat:write"), true);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        assert_eq!(response.headers()["x-accepted-oauth-scopes"], "chat:write");
        assert!(response.headers().contains_key("x-oauth-scopes"));
        assert_eq!(text(response).await, r#"{"ok":true,"text":"two\nlines"}"#);
    }

    #[tokio::test]
    async fn a_refusal_says_its_code_and_when_to_come_again() {
        let response = respond(Err(ApiError::refused("name_taken")), None, false);
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, r#"{"ok":false,"error":"name_taken"}"#);
        let response = respond(Err(ApiError::rate_limited(Duration::from_millis(1500))), None, true);
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &HeaderValue::from(2)));
        assert_eq!(text(response).await, r#"{"ok":false,"error":"ratelimited"}"#);
    }
}
