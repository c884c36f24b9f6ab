//! Calls to a running server.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use uuid::Uuid;

use crate::parts::DataDir;

/// How long a call with a key is repeated before it is given up.
const REPEATED_FOR: Duration = Duration::from_secs(60);
/// The wait where the server names none.
const PAUSE: Duration = Duration::from_millis(250);

/// No server, or one that cannot serve now.
#[derive(Debug)]
pub(crate) struct Away(pub(crate) String);

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Away {}

/// Where a server is, and the operators' key to it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    url: String,
    key: String,
    http: reqwest::Client,
}

/// The outcome of one attempt at a call that may be retried.
enum Attempt {
    Answered(Value),
    /// The call surely had no effect: safe to retry after this time.
    Again(Duration, String),
    /// The outcome is unknown: the call may have executed.
    Unknown(Duration, String),
}

/// A call whose outcome was still unknown at its deadline.
#[derive(Debug)]
pub(crate) struct OutcomeUnknown(String);

impl std::fmt::Display for OutcomeUnknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; whether it was done is not known: look before you repeat it", self.0)
    }
}

impl std::error::Error for OutcomeUnknown {}

impl Client {
    pub(crate) fn new(url: &str, key: &str) -> Client {
        Client { url: url.trim_end_matches('/').to_owned(), key: key.to_owned(), http: reqwest::Client::new() }
    }

    /// The server of the flags, else the one that runs on the data directory.
    pub(crate) fn find(url: Option<&str>, key: Option<&str>, data: &DataDir) -> anyhow::Result<Client> {
        if let (Some(url), Some(key)) = (url, key) {
            return Ok(Client::new(url, key));
        }
        let path = data.server_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                let (data, path) = (data.0.display(), path.display());
                return Err(Away(format!("no server runs on {data} (no {path})")).into());
            }
            Err(why) => return Err(why).with_context(|| format!("cannot read {}", path.display())),
        };
        let run: Value = serde_json::from_str(&text).with_context(|| format!("{} is broken", path.display()))?;
        let of = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        Ok(Client::new(url.unwrap_or(&of("url")), key.unwrap_or(&of("admin_key"))))
    }

    /// The process of the server that runs on the data directory.
    pub(crate) fn process(data: &DataDir) -> Option<u32> {
        let text = std::fs::read_to_string(data.server_file()).ok()?;
        let run: Value = serde_json::from_str(&text).ok()?;
        u32::try_from(run["pid"].as_u64()?).ok()
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The operators' key.
    pub(crate) fn admin_key(&self) -> &str {
        &self.key
    }

    /// Calls a method that reads, or is safe to repeat, with the operators' key.
    pub(crate) async fn call(&self, method: &str, args: &Value) -> anyhow::Result<Value> {
        self.call_as(&self.key, method, args).await
    }

    /// Calls a method with somebody's token.
    pub(crate) async fn call_as(&self, token: &str, method: &str, args: &Value) -> anyhow::Result<Value> {
        match self.attempt(token, method, args, None).await? {
            Attempt::Answered(body) => Ok(body),
            Attempt::Again(_, why) | Attempt::Unknown(_, why) => Err(Away(format!("{method}: {why}")).into()),
        }
    }

    /// Calls a method that writes, with the operators' key. One that surely did nothing is not repeated; one that may have
    /// is, under its key, until somebody knows: from then on a refusal to take it says nothing of the first attempt.
    ///
    /// # Errors
    /// [`OutcomeUnknown`] if the outcome is not known in time.
    pub(crate) async fn write(&self, method: &str, args: &Value) -> anyhow::Result<Value> {
        let (key, begun) = (Uuid::new_v4().to_string(), Instant::now());
        let mut is_unknown = false;
        loop {
            let (wait, why) = match self.attempt(&self.key, method, args, Some(&key)).await? {
                Attempt::Answered(body) => return Ok(body),
                Attempt::Again(_, why) if !is_unknown => return Err(Away(format!("{method}: {why}")).into()),
                Attempt::Again(wait, why) | Attempt::Unknown(wait, why) => (wait, why),
            };
            is_unknown = true;
            if begun.elapsed() > REPEATED_FOR {
                return Err(OutcomeUnknown(format!("{method}: {why}")).into());
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Calls a method with somebody's token, again and again until it was surely done once: the key makes it safe.
    pub(crate) async fn call_once(&self, token: &str, method: &str, args: &Value, key: &str) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            match self.attempt(token, method, args, Some(key)).await? {
                Attempt::Answered(body) => return Ok(body),
                Attempt::Again(_, why) | Attempt::Unknown(_, why) if begun.elapsed() > REPEATED_FOR => {
                    return Err(Away(format!("{method}: {why}")).into());
                }
                Attempt::Again(wait, _) | Attempt::Unknown(wait, _) => tokio::time::sleep(wait).await,
            }
        }
    }

    async fn attempt(&self, token: &str, method: &str, args: &Value, key: Option<&str>) -> anyhow::Result<Attempt> {
        let mut request = self.http.post(format!("{}/api/{method}", self.url)).bearer_auth(token).json(args);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(why) if why.is_builder() => return Err(why).with_context(|| format!("{} is no address", self.url)),
            Err(why) if why.is_connect() => {
                return Ok(Attempt::Again(PAUSE, format!("no server answers at {}: {why}", self.url)));
            }
            Err(why) => return Ok(Attempt::Unknown(PAUSE, format!("the call broke off: {why}"))),
        };
        let status = answer.status().as_u16();
        let wait = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
        let body: Value = match answer.json().await {
            Ok(body) => body,
            Err(why) if why.is_decode() => return Err(why).context("the server's answer is no JSON"),
            Err(why) => return Ok(Attempt::Unknown(PAUSE, format!("the answer broke off: {why}"))),
        };
        let error = body["error"].as_str().unwrap_or("no error code");
        if matches!(status, 429 | 503) {
            let wait = wait.map_or(PAUSE, Duration::from_secs);
            let attempt = if error == "outcome_unknown" { Attempt::Unknown } else { Attempt::Again };
            return Ok(attempt(wait, error.to_owned()));
        }
        if body["ok"] != Value::Bool(true) {
            bail!("{method}: {error}");
        }
        Ok(Attempt::Answered(body))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const DONE: &str = r#"{"ok":true,"done":1}"#;
    const UNKNOWN: &str = r#"{"ok":false,"error":"outcome_unknown"}"#;
    const NOT_ACCEPTED: &str = r#"{"ok":false,"error":"not_accepted"}"#;

    /// Returns the outcome of a write at a server that gives these answers (`None` closes the connection), and the
    /// idempotency keys that the server got.
    async fn check(answers: &[Option<(u16, &str)>]) -> (anyhow::Result<Value>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()), "a key");
        let mut keys = Vec::new();
        let serve = async {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let (mut request, mut part) = (String::new(), [0; 4096]);
                while !request.ends_with("{}") {
                    let read = connection.read(&mut part).await.unwrap();
                    request.push_str(std::str::from_utf8(&part[..read]).unwrap());
                }
                let key = request.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap();
                keys.push(key.to_owned());
                if let Some((status, body)) = answer {
                    let head =
                        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                    connection.write_all((head + body).as_bytes()).await.unwrap();
                }
            }
            std::future::pending::<()>().await;
        };
        let args = serde_json::json!({});
        let outcome = tokio::select! {
            outcome = client.write("teamlog.teams.create", &args) => outcome,
            () = serve => unreachable!("a server serves for ever"),
        };
        (outcome, keys)
    }

    #[tokio::test]
    async fn a_write_of_unknown_outcome_is_repeated_under_its_key_until_it_is_known() {
        let (outcome, keys) = check(&[Some((503, UNKNOWN)), None, Some((503, NOT_ACCEPTED)), Some((200, DONE))]).await;
        assert_eq!(outcome.unwrap()["done"], 1);
        assert!(keys.len() == 4 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[tokio::test]
    async fn a_write_that_surely_did_nothing_is_not_repeated() {
        let (outcome, keys) = check(&[Some((503, NOT_ACCEPTED))]).await;
        assert!(outcome.unwrap_err().is::<Away>());
        assert_eq!(keys.len(), 1);
    }
}
