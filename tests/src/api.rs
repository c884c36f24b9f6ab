//! A client of the Web API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Socket, WAIT};

/// The pause between two attempts of a retried call.
const COME_AGAIN: Duration = Duration::from_millis(20);

/// A failure that a test must be ready for: the server is being killed, or does not know the outcome.
#[derive(Debug)]
pub enum Failure {
    /// The connection failed before an answer arrived.
    Gone(String),
    /// An answer with another status than 200, such as 429 or 503, and its body.
    Status(u16, Value),
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Bytes of the body.
    pub bytes: usize,
    /// The body.
    pub body: Value,
}

/// A client that calls as one person.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Api {
    /// Creates a client without a token.
    pub fn new(url: &str) -> Api {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client without TLS");
        Api { http, url: url.to_owned(), token: None }
    }

    /// Returns this client with the token of a person.
    pub fn with_token(&self, token: &str) -> Api {
        Api { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Returns this client with its token, for a server at another address.
    pub fn at(&self, url: &str) -> Api {
        Api { url: url.to_owned(), ..self.clone() }
    }

    /// Returns the token.
    ///
    /// # Panics
    /// If the client has none.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("this client has a token")
    }

    /// Builds a request to a path of the server, with the token if there is one.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Makes a call with JSON arguments and returns its answer, whatever its status is.
    ///
    /// # Errors
    /// [`Failure::Gone`] if no answer arrived.
    pub async fn ask(&self, method: &str, args: &Value) -> Result<Answer, Failure> {
        let gone = |why: reqwest::Error| Failure::Gone(why.to_string());
        let answer = self.post(&format!("/api/{method}")).json(args).send().await.map_err(gone)?;
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = header("retry-after");
        let body = answer.bytes().await.map_err(gone)?;
        let bytes = body.len();
        let body = serde_json::from_slice(&body).unwrap_or_else(|why| panic!("{method} answers no JSON: {why}"));
        Ok(Answer { status, retry_after, bytes, body })
    }

    /// Makes a call and returns the body of its answer.
    ///
    /// # Errors
    /// [`Failure`] if no answer arrived, or its status is not 200.
    pub async fn call(&self, method: &str, args: &Value) -> Result<Value, Failure> {
        let answer = self.ask(method, args).await?;
        if answer.status == 200 { Ok(answer.body) } else { Err(Failure::Status(answer.status, answer.body)) }
    }

    /// Makes a call that must succeed.
    pub async fn good(&self, method: &str, args: Value) -> Value {
        match self.call(method, &args).await {
            Ok(body) if body["ok"] == true => body,
            other => panic!("{method} {args}: {other:?}"),
        }
    }

    /// Makes a call that must be refused with this code.
    pub async fn bad(&self, method: &str, args: Value, code: &str) {
        match self.call(method, &args).await {
            Ok(body) if body["ok"] == false && body["error"] == code => {}
            other => panic!("{method} {args}: {other:?} instead of {code}"),
        }
    }

    /// Makes a team for a test, and returns its owner's client and id.
    pub async fn team(&self, domain: &str) -> (Api, String) {
        let args = json!({ "domain": domain, "name": domain, "owner_name": "ada", "owner_email": "ada@example.com" });
        // On a busy machine new views may not answer in time.
        self.made(self.insist("teamlog.teams.create", args, &uuid::Uuid::new_v4().to_string()).await)
    }

    /// Adds a person to this owner's team, and returns the person's client and id.
    pub async fn person(&self, name: &str) -> (Api, String) {
        let args = json!({ "name": name, "email": format!("{name}@example.com") });
        self.made(self.good("teamlog.users.create", args).await)
    }

    fn made(&self, made: Value) -> (Api, String) {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (self.with_token(&text(&made["token"])), text(&made["user"]["id"]))
    }

    /// Posts a message and returns its `ts`.
    pub async fn say(&self, channel: &str, text: &str) -> String {
        let posted = self.good("chat.postMessage", json!({ "channel": channel, "text": text })).await;
        posted["ts"].as_str().expect("ts is a text").to_owned()
    }

    /// Retries a call under one key until it succeeds, as a client does when it is told to retry.
    ///
    /// # Panics
    /// If the call is refused, or does not succeed within [`WAIT`].
    pub async fn insist(&self, method: &str, mut args: Value, key: &str) -> Value {
        args["client_msg_id"] = key.into();
        let done = async {
            loop {
                match self.call(method, &args).await {
                    Ok(body) if body["ok"] == true => return body,
                    Ok(body) => panic!("{method} {args}: {body}"),
                    Err(why) => eprintln!("{method}, key {key}: again, for {why:?}"),
                }
                tokio::time::sleep(COME_AGAIN).await;
            }
        };
        tokio::time::timeout(WAIT, done).await.unwrap_or_else(|_| panic!("{method} {args}: not done in {WAIT:?}"))
    }

    /// Posts a message, with retries. The text is the key.
    pub async fn say_at_last(&self, channel: &str, text: &str) -> String {
        let posted = self.insist("chat.postMessage", json!({ "channel": channel, "text": text }), text).await;
        self::text(&posted["ts"])
    }

    /// Fetches a whole conversation, oldest message first, through all its pages.
    pub async fn history(&self, channel: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let args = json!({ "channel": channel, "limit": 200, "cursor": cursor });
            let mut page = self.good("conversations.history", args).await;
            if let Value::Array(messages) = page["messages"].take() {
                all.extend(messages);
            }
            cursor = page["response_metadata"]["next_cursor"].as_str().unwrap_or_default().to_owned();
            if cursor.is_empty() {
                all.reverse();
                return all;
            }
        }
    }

    /// Calls `rtm.connect` and opens the socket that it names. The socket's `hello` has been read.
    pub async fn connect(&self, args: Value) -> Socket {
        let answer = self.good("rtm.connect", args).await;
        let mut socket = Socket::open(answer["url"].as_str().expect("a url")).await.expect("a fresh url is good");
        socket.cursor = answer["cursor"].as_str().map(str::to_owned);
        let hello = socket.frame().await.expect("a session begins with a frame");
        assert_eq!(hello["type"], "hello", "the first frame is {hello}");
        socket
    }
}

/// Returns the text of a JSON string.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
