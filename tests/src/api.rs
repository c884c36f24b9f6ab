//! A client of the Web API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Socket, WAIT};

/// Between two attempts of a call that is insisted on.
const COME_AGAIN: Duration = Duration::from_millis(20);

/// How a call went wrong for which a test must be ready: the server is being killed, or does not know the outcome.
#[derive(Debug)]
pub enum Failure {
    /// No answer came.
    Gone(String),
    /// 429 or 5xx.
    Status(u16, Value),
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP's.
    pub status: u16,
    /// Seconds that the caller is asked to wait.
    pub retry_after: Option<u64>,
    /// Bytes of the body.
    pub bytes: usize,
    /// The body.
    pub body: Value,
}

/// Calls as one person.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Api {
    /// Without a token.
    pub fn new(url: &str) -> Api {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client without TLS");
        Api { http, url: url.to_owned(), token: None }
    }

    /// The same, as somebody.
    pub fn with_token(&self, token: &str) -> Api {
        Api { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same person at the server's new address.
    pub fn at(&self, url: &str) -> Api {
        Api { url: url.to_owned(), ..self.clone() }
    }

    /// The token.
    ///
    /// # Panics
    /// If there is none.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("this client has a token")
    }

    /// A request to a path of the server, with the token if there is one.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A call with JSON arguments, and whatever came of it.
    ///
    /// # Errors
    /// [`Failure::Gone`].
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

    /// The body of a call's answer.
    ///
    /// # Errors
    /// [`Failure`], where there is no answer to look at.
    pub async fn call(&self, method: &str, args: &Value) -> Result<Value, Failure> {
        let answer = self.ask(method, args).await?;
        if answer.status == 200 { Ok(answer.body) } else { Err(Failure::Status(answer.status, answer.body)) }
    }

    /// A call that must succeed.
    pub async fn good(&self, method: &str, args: Value) -> Value {
        match self.call(method, &args).await {
            Ok(body) if body["ok"] == true => body,
            other => panic!("{method} {args}: {other:?}"),
        }
    }

    /// A call that must be refused with this code.
    pub async fn bad(&self, method: &str, args: Value, code: &str) {
        match self.call(method, &args).await {
            Ok(body) if body["ok"] == false && body["error"] == code => {}
            other => panic!("{method} {args}: {other:?} instead of {code}"),
        }
    }

    /// A team of its own for a test, and its owner's client: `(owner, owner's id)`.
    pub async fn team(&self, domain: &str) -> (Api, String) {
        let args = json!({ "domain": domain, "name": domain, "owner_name": "ada", "owner_email": "ada@example.com" });
        // Views that have just begun may not answer in time on a machine that is busy.
        self.made(self.insist("teamlog.teams.create", args, &uuid::Uuid::new_v4().to_string()).await)
    }

    /// One more person of this owner's team: `(client, id)`.
    pub async fn person(&self, name: &str) -> (Api, String) {
        let args = json!({ "name": name, "email": format!("{name}@example.com") });
        self.made(self.good("teamlog.users.create", args).await)
    }

    fn made(&self, made: Value) -> (Api, String) {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (self.with_token(&text(&made["token"])), text(&made["user"]["id"]))
    }

    /// Posts and gives the message's `ts`.
    pub async fn say(&self, channel: &str, text: &str) -> String {
        let posted = self.good("chat.postMessage", json!({ "channel": channel, "text": text })).await;
        posted["ts"].as_str().expect("ts is a text").to_owned()
    }

    /// A call until it succeeds, as a client does that was told to come again: with the same key.
    ///
    /// # Panics
    /// If it is refused, or not done in [`WAIT`].
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

    /// Posts, and insists on it. The text is its key.
    pub async fn say_at_last(&self, channel: &str, text: &str) -> String {
        let posted = self.insist("chat.postMessage", json!({ "channel": channel, "text": text }), text).await;
        self::text(&posted["ts"])
    }

    /// A whole conversation, oldest message first, through as many pages as it takes.
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

    /// `rtm.connect` and the socket that it names, behind its `hello`.
    pub async fn connect(&self, args: Value) -> Socket {
        let answer = self.good("rtm.connect", args).await;
        let mut socket = Socket::open(answer["url"].as_str().expect("a url")).await.expect("a fresh url is good");
        socket.cursor = answer["cursor"].as_str().map(str::to_owned);
        let hello = socket.frame().await.expect("a session begins with a frame");
        assert_eq!(hello["type"], "hello", "the first frame is {hello}");
        socket
    }
}

/// A JSON text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
