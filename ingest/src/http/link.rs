//! The link: calls to other nodes, and what is known of one that failed.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use tokio::time::Instant;

use super::KEY_HEADER;
use crate::Secrets;

/// A node that does not take a connection for so long is away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A node that answers no ping for so long is away: one that is paused or cut off says nothing, and closes nothing.
const PING_EVERY: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    /// The other node surely did nothing.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have done what was asked, or may yet.
    #[error("no answer: {0}")]
    Broken(String),
}

/// Connections to other nodes, kept open. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    http: reqwest::Client,
    key: HeaderValue,
}

impl Link {
    /// A link that carries this cluster's key.
    pub fn new(secrets: &Secrets) -> Link {
        let http = reqwest::Client::builder()
            .http2_prior_knowledge()
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            // What carries the cluster's key goes where it was sent, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS can be made");
        let mut key = HeaderValue::from_str(&secrets.internal_key()).expect("hex is a header's value");
        key.set_sensitive(true);
        Link { http, key }
    }

    /// Asks a node, by its address, and waits for the whole answer until the deadline.
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
        // The connection is of this link's, not of the call that is passed on.
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
        let answer = tokio::time::timeout_at(deadline, asked).await;
        answer.unwrap_or_else(|_| Err(LinkError::Broken("not in time".to_owned())))
    }

    /// The same with a JSON body, where whoever is asked answers 200 or refuses the call as such.
    ///
    /// # Errors
    /// Both of [`LinkError`].
    pub async fn post(&self, address: &str, path: &str, body: Bytes, deadline: Instant) -> Result<Bytes, LinkError> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let answer = self.call(address, Method::POST, path, headers, body, deadline).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(LinkError::NotSent(format!("{address} answers {status}"))),
        }
    }
}

/// What is known of a request that got no answer: one that found no connection was not sent.
fn broken(why: &reqwest::Error) -> LinkError {
    if why.is_connect() { LinkError::NotSent(text(why)) } else { LinkError::Broken(text(why)) }
}

/// An error with its causes: the outermost alone says little.
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
