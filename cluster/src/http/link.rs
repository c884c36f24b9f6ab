//! The link: calls to other nodes, and whether a call that failed may have executed.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use tokio::time::Instant;

use super::KEY_HEADER;
use crate::Secrets;

/// A node that accepts no connection for this long is unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// The interval of pings. A node that is paused or cut off does not close its connections, so only an unanswered ping
/// (for `PING_TIMEOUT`) shows that it is unavailable.
const PING_EVERY: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Why a call got no response.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    /// The request was not sent: the other node did not execute it and never will.
    #[error("not sent: {0}")]
    NotSent(String),
    /// No complete response arrived in time: the other node may have executed the request, or may still execute it.
    #[error("no answer: {0}")]
    Broken(String),
}

/// The transport of calls to other nodes: the [`Link`] in a real process, a simulated network in a simulation.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Sends a JSON body to the node at this address. Returns the status and the body of the response, if both arrive before
    /// the deadline.
    ///
    /// # Errors
    /// Both of [`LinkError`].
    async fn ask(
        &self,
        address: &str,
        path: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<(StatusCode, Bytes), LinkError>;
}

/// Connections to other nodes, kept open. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    http: reqwest::Client,
    key: HeaderValue,
}

impl Link {
    /// Makes a link whose calls carry this cluster's key.
    pub fn new(secrets: &Secrets) -> Link {
        let http = reqwest::Client::builder()
            .http2_prior_knowledge()
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            // A redirect would carry the cluster's key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS can be made");
        let mut key = HeaderValue::from_str(&secrets.internal_key()).expect("hex is a header's value");
        key.set_sensitive(true);
        Link { http, key }
    }

    /// Sends a request to the node at this address. Returns the whole response, if it arrives before the deadline.
    ///
    /// # Errors
    /// Both of [`LinkError`].
    pub async fn call(
        &self,
        address: &str,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Response<Bytes>, LinkError> {
        // These headers describe the connection of the call that is forwarded, not the connection of this link.
        for name in ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "keep-alive"] {
            headers.remove(name);
        }
        headers.insert(HeaderName::from_static(KEY_HEADER), self.key.clone());
        let request = self.http.request(method, format!("{address}{path}")).headers(headers).body(body);
        let asked = async {
            let answer = request.send().await.map_err(|why| broken(&why))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.map_err(|why| LinkError::Broken(text(&why)))?;
            let mut response = Response::new(body);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        };
        let began = Instant::now();
        let answer = tokio::time::timeout_at(deadline, asked).await;
        let answer = answer.unwrap_or_else(|_| Err(LinkError::Broken("not in time".to_owned())));
        let labels = [("what", what(path)), ("outcome", outcome(&answer))];
        metrics::histogram!("teamlog_link_seconds", &labels).record(began.elapsed());
        answer
    }
}

#[async_trait]
impl Carrier for Link {
    async fn ask(
        &self,
        address: &str,
        path: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<(StatusCode, Bytes), LinkError> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let answer = self.call(address, Method::POST, path, headers, body, deadline).await?;
        Ok((answer.status(), answer.into_body()))
    }
}

/// Returns the metrics label of a request, by its path. The labels are a fixed set, so the metric stays bounded.
fn what(path: &str) -> &'static str {
    match path.strip_prefix("/internal/").and_then(|path| path.split('/').next()) {
        Some("commands") => "commands",
        Some("directory") => "directory",
        Some("api") => "api",
        Some("search") => "search",
        _ => "other",
    }
}

/// Returns the metrics label of a call's outcome: `refused` is a response whose status is not a success.
fn outcome(answer: &Result<Response<Bytes>, LinkError>) -> &'static str {
    match answer {
        Ok(answer) if answer.status().is_success() => "answered",
        Ok(_) => "refused",
        Err(LinkError::NotSent(_)) => "not_sent",
        Err(LinkError::Broken(_)) => "broken",
    }
}

/// Classifies a request that got no response: it was not sent if it found no connection.
fn broken(why: &reqwest::Error) -> LinkError {
    if why.is_connect() { LinkError::NotSent(text(why)) } else { LinkError::Broken(text(why)) }
}

/// Returns an error's text with those of its causes: the outermost error alone says little.
fn text(why: &reqwest::Error) -> String {
    let mut text = why.to_string();
    let mut cause = std::error::Error::source(why);
    while let Some(why) = cause {
        text.push_str(": ");
        text.push_str(&why.to_string());
        cause = why.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_told_by_the_path_and_bounded() {
        let paths =
            ["/internal/commands", "/internal/directory", "/internal/api/chat.postMessage?a=/", "/internal/search"];
        assert_eq!(paths.map(what), ["commands", "directory", "api", "search"]);
        assert_eq!(["/internal/tomorrow", "/api/commands", ""].map(what), ["other"; 3]);
    }

    #[test]
    fn an_answer_that_is_no_success_is_told_from_one_that_did_not_come() {
        let status = |status| {
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = status;
            Ok(answer)
        };
        let why = || "why".to_owned();
        let answers = [
            status(StatusCode::OK),
            status(StatusCode::SERVICE_UNAVAILABLE),
            Err(LinkError::NotSent(why())),
            Err(LinkError::Broken(why())),
        ];
        assert_eq!(answers.map(|answer| outcome(&answer)), ["answered", "refused", "not_sent", "broken"]);
    }
}
