//! From a request to arguments.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, Method, header, request::Parts},
};

use super::form;
use crate::{
    ApiError, Args,
    args::{Arguments, args},
    auth::Token,
    limits,
};

/// The parts of a request that a call is made of.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) args: Args,
    /// From the `Authorization` header, else from the argument `token`, which is taken out.
    pub(super) token: Option<Token>,
    /// The idempotency key, from its header, else from the argument `client_msg_id`.
    pub(super) key: Option<String>,
    pub(super) traceparent: Option<String>,
}

args! {
    /// The arguments that every method has.
    struct CommonArgs {
        /// The idempotency key, where the header does not give one.
        client_msg_id: Option<String>,
    }
}

/// Query and body, with the body's values before the query's.
pub(super) async fn request(request: Request) -> Result<Parsed, ApiError> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > limits::QUERY_BYTES_MAX {
        return Err(ApiError::too_large());
    }
    let mut args = form::parse(query.as_bytes())?;
    if parts.method == Method::POST {
        args.extend(body_args(&parts, body).await?);
    } else if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(ApiError::refused("invalid_post_type").saying("only GET and POST are served"));
    }
    if args.len() > limits::ARGS_MAX {
        return Err(ApiError::argument("too many arguments"));
    }
    let named = args.take("token").filter(|token| !token.is_empty());
    let token = bearer(&parts.headers).or(named).map(Token::new);
    let key = key(&parts.headers, &args)?;
    let traceparent = text_of(&parts.headers, "traceparent").filter(|trace| trace.len() <= 128).map(str::to_owned);
    Ok(Parsed { args, token, key, traceparent })
}

fn key(headers: &HeaderMap, args: &Args) -> Result<Option<String>, ApiError> {
    let key = match text_of(headers, "idempotency-key") {
        Some(key) => Some(key.to_owned()),
        None => CommonArgs::parse(args)?.client_msg_id,
    };
    if key.as_ref().is_some_and(|key| key.len() > limits::KEY_BYTES_MAX) {
        return Err(ApiError::argument(format!("an idempotency key has at most {} bytes", limits::KEY_BYTES_MAX)));
    }
    Ok(key)
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim()).filter(|text| !text.is_empty())
}

/// The scheme's name may have any case (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = text_of(headers, header::AUTHORIZATION.as_str())?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// The format of a body, by its content type. An empty body has no arguments, whatever its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Form,
    Multipart,
    Json,
}

async fn body_args(parts: &Parts, body: Body) -> Result<Args, ApiError> {
    let declared = match parts.headers.get(header::CONTENT_TYPE) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| ApiError::refused("invalid_post_type"))?),
    };
    if let Some(declared) = declared
        && kind_of(declared) == Some(Kind::Multipart)
    {
        let mut rebuilt = Request::new(body);
        *rebuilt.headers_mut() = parts.headers.clone();
        *rebuilt.extensions_mut() = parts.extensions.clone();
        return Box::pin(multipart(rebuilt)).await;
    }
    let bytes = axum::body::to_bytes(body, limits::BODY_BYTES_MAX).await.map_err(|_| ApiError::too_large())?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Args::default());
    }
    let declared = declared.ok_or(ApiError::refused("missing_post_type"))?;
    let kind = kind_of(declared).ok_or(ApiError::refused("invalid_post_type"))?;
    if charset_of(declared)
        .is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8") && !charset.eq_ignore_ascii_case("utf8"))
    {
        return Err(ApiError::refused("invalid_charset"));
    }
    match kind {
        Kind::Json => json(&bytes),
        Kind::Form | Kind::Multipart => form::parse(&bytes),
    }
}

fn kind_of(declared: &str) -> Option<Kind> {
    match declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Some(Kind::Form),
        "multipart/form-data" => Some(Kind::Multipart),
        "application/json" => Some(Kind::Json),
        _ => None,
    }
}

fn charset_of(declared: &str) -> Option<&str> {
    declared.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

fn json(bytes: &Bytes) -> Result<Args, ApiError> {
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    match serde_json::from_slice(bytes) {
        Ok(args) => Ok(args),
        Err(why) if !is_object && why.is_data() => Err(ApiError::refused("json_not_object")),
        Err(_) => Err(ApiError::refused("invalid_json")),
    }
}

async fn multipart(request: Request) -> Result<Args, ApiError> {
    let broken = |_| ApiError::refused("invalid_form_data");
    let mut multipart = Multipart::from_request(request, &()).await.map_err(broken)?;
    let mut args = Args::default();
    let mut bytes = 0;
    while let Some(field) = multipart.next_field().await.map_err(|why| of_multipart(&why))? {
        let Some(name) = field.name().map(str::to_owned) else { continue };
        let text = field.text().await.map_err(|why| of_multipart(&why))?;
        bytes += text.len();
        if bytes > limits::BODY_BYTES_MAX {
            return Err(ApiError::too_large());
        }
        if args.len() >= limits::ARGS_MAX {
            return Err(ApiError::argument("too many arguments"));
        }
        args.put(name, text);
    }
    Ok(args)
}

fn of_multipart(why: &axum::extract::multipart::MultipartError) -> ApiError {
    if why.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::too_large()
    } else {
        ApiError::refused("invalid_form_data")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::args::Given;

    async fn post(content_type: Option<&str>, body: impl Into<Body>) -> Result<Parsed, ApiError> {
        let mut built = Request::post("/api/x?from=query&foo=query");
        if let Some(content_type) = content_type {
            built = built.header("content-type", content_type);
        }
        request(built.body(body.into()).unwrap()).await
    }

    async fn args(content_type: Option<&str>, body: &str) -> Value {
        Value::Object(post(content_type, body.to_owned()).await.unwrap().args.to_values())
    }

    async fn code(content_type: Option<&str>, body: impl Into<Body>) -> String {
        post(content_type, body).await.unwrap_err().code().to_owned()
    }

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    #[tokio::test]
    async fn every_kind_of_body_is_read() {
        let nested = serde_json::json!({"from": "query", "foo": "bar", "blocks": [{"type": "divider"}]});
        assert_eq!(args(JSON, r#"{"foo":"bar","blocks":[{"type":"divider"}]}"#).await, nested);
        let flat = serde_json::json!({"from": "query", "foo": "bar baz"});
        assert_eq!(args(FORM, "foo=bar+baz").await, flat);
        let multipart = "--x\r\ncontent-disposition: form-data; name=\"foo\"\r\n\r\nbar baz\r\n--x--\r\n";
        assert_eq!(args(Some("multipart/form-data; boundary=x"), multipart).await, flat);
        let query = serde_json::json!({"from": "query", "foo": "query"});
        for empty in [None, FORM, JSON, Some("text/plain")] {
            assert_eq!(args(empty, "").await, query, "{empty:?}");
        }
    }

    #[tokio::test]
    async fn json_comes_as_it_was_written() {
        // A number keeps its digits: as a float a message's `ts` would lose some.
        let parsed = post(JSON, r#"{"ts":1355517523.000008, "none": null, "blocks": [ {"a" : 1.0} ]}"#).await.unwrap();
        assert_eq!(parsed.args.value("ts"), Some(&Given::Scalar("1355517523.000008".to_owned())));
        assert_eq!(parsed.args.value("none"), None);
        assert_eq!(parsed.args.value("blocks"), Some(&Given::Nested(r#"[ {"a" : 1.0} ]"#.to_owned())));
        // The last value of a name counts, as in a form.
        assert_eq!(args(JSON, r#"{"foo":"a","foo":"b"}"#).await["foo"], "b");
        // Deep nesting is left alone until an argument is parsed; half of a surrogate pair names no character.
        let deep = format!(r#"{{"blocks":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(args(JSON, &deep).await["blocks"], Value::Null);
        assert_eq!(code(JSON, r#"{"text":"\ud83d"}"#).await, "invalid_json");
    }

    #[tokio::test]
    async fn a_body_that_is_none_is_refused_by_name() {
        assert_eq!(code(JSON, "{").await, "invalid_json");
        assert_eq!(code(JSON, "[1]").await, "json_not_object");
        assert_eq!(code(None, "foo=bar").await, "missing_post_type");
        assert_eq!(code(Some("text/plain"), "foo=bar").await, "invalid_post_type");
        assert_eq!(code(Some("application/json; charset=latin1"), "{}").await, "invalid_charset");
        assert_eq!(code(FORM, "foo=%ff").await, "invalid_form_data");
        assert_eq!(code(Some("multipart/form-data; boundary=x"), "--y").await, "invalid_form_data");
        assert_eq!(code(FORM, vec![b'a'; limits::BODY_BYTES_MAX + 1]).await, "request_too_large");
    }

    #[track_caller]
    fn token(parsed: Result<Parsed, ApiError>) -> Option<String> {
        parsed.unwrap().token.map(|token| token.text)
    }

    #[tokio::test]
    async fn a_token_comes_from_the_header_the_form_or_the_query() {
        let header = Request::get("/api/x?token=other").header("authorization", "bearer  xoxp-1 ").body(Body::empty());
        assert_eq!(token(request(header.unwrap()).await), Some("xoxp-1".to_owned()));
        let query = request(Request::get("/api/x?token=xoxp-2").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!((query.args.is_empty(), token(Ok(query))), (true, Some("xoxp-2".to_owned())));
        assert_eq!(token(post(FORM, "token=xoxp-3").await), Some("xoxp-3".to_owned()));
        assert_eq!(token(post(FORM, "token=").await), None);
    }
}
