//! Calls and sockets, as a client without an SDK makes them.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
}

/// An answer: HTTP status and body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Call {
    /// The body of an answer that must be good.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert_eq!(self.body["ok"], true, "{} {}", self.status, self.body);
        self.body
    }

    /// The error code of one that must not be.
    #[track_caller]
    pub(crate) fn error(self) -> String {
        assert_eq!(self.body["ok"], false, "{}", self.body);
        self.body["error"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn new(url: &str) -> Client {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Client { url: url.to_owned(), http }
    }

    /// None if the server did not answer at all.
    pub(crate) async fn try_call(&self, token: &str, method: &str, args: &Value) -> Option<Call> {
        let mut request = self.http.post(format!("{}/api/{method}", self.url)).json(args);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some(Call { status, body: answer.json().await.ok()? })
    }

    #[track_caller]
    pub(crate) fn call(&self, token: &str, method: &str, args: Value) -> impl Future<Output = Call> {
        let (client, token, method) = (self.clone(), token.to_owned(), method.to_owned());
        async move { client.try_call(&token, &method, &args).await.expect("the server answers") }
    }

    /// A team with an owner: their token, and the general channel.
    pub(crate) async fn team(&self, domain: &str) -> (String, String) {
        let args = json!({ "domain": domain, "name": domain, "owner_name": "ada", "owner_email": "ada@example.com" });
        let made = self.call("", "teamlog.teams.create", args).await.good();
        let token = made["token"].as_str().unwrap().to_owned();
        let listed = self.call(&token, "conversations.list", json!({})).await.good();
        let channels = listed["channels"].as_array().unwrap();
        let general = channels.iter().find(|channel| channel["is_general"] == true).unwrap();
        (token, general["id"].as_str().unwrap().to_owned())
    }

    /// A user more: their id and token.
    pub(crate) async fn user(&self, admin: &str, name: &str) -> (String, String) {
        let args = json!({ "name": name, "email": format!("{name}@example.com") });
        let made = self.call(admin, "teamlog.users.create", args).await.good();
        let text = |path: &str| made.pointer(path).unwrap().as_str().unwrap().to_owned();
        (text("/user/id"), text("/token"))
    }

    /// All messages of a conversation, oldest first.
    pub(crate) async fn history(&self, token: &str, channel: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let args = json!({ "channel": channel, "limit": 200, "cursor": cursor });
            let page = self.call(token, "conversations.history", args).await.good();
            all.extend(page["messages"].as_array().unwrap().iter().cloned());
            cursor = page["response_metadata"]["next_cursor"].as_str().unwrap_or_default().to_owned();
            if cursor.is_empty() {
                all.reverse();
                return all;
            }
        }
    }

    /// A socket behind `rtm.connect`; none if the server is away.
    pub(crate) async fn socket(&self, token: &str, args: Value) -> Option<Socket> {
        let connected = self.try_call(token, "rtm.connect", &args).await?;
        let url = connected.body["url"].as_str()?.to_owned();
        Socket::open(&url).await
    }
}

/// An RTM session.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn open(url: &str) -> Option<Socket> {
        let (stream, _) = tokio_tungstenite::connect_async(url).await.ok()?;
        Some(Socket { stream })
    }

    /// The next frame; none once the socket is closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame that fits, within ten seconds.
    pub(crate) async fn expect(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        let found = async {
            loop {
                let frame = self.next().await?;
                if fits(&frame) {
                    return Some(frame);
                }
                seen.push(frame["type"].clone());
            }
        };
        match tokio::time::timeout(Duration::from_secs(10), found).await {
            Ok(Some(frame)) => frame,
            other => panic!("no {what} among {seen:?} ({other:?})"),
        }
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.stream.send(Message::text(frame.to_string())).await.unwrap();
    }
}
