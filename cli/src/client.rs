//! Calls to a running server.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

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

/// One attempt at a call that may be repeated.
enum Attempt {
    Answered(Value),
    Again(Duration, String),
}

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

    /// Calls a method with the operators' key.
    pub(crate) async fn call(&self, method: &str, args: &Value) -> anyhow::Result<Value> {
        self.call_as(&self.key, method, args).await
    }

    /// Calls a method with somebody's token.
    pub(crate) async fn call_as(&self, token: &str, method: &str, args: &Value) -> anyhow::Result<Value> {
        match self.attempt(token, method, args, None).await? {
            Attempt::Answered(body) => Ok(body),
            Attempt::Again(_, why) => Err(Away(format!("{method}: {why}")).into()),
        }
    }

    /// Calls a method with somebody's token, again and again until it was surely done once: the key makes it safe.
    pub(crate) async fn call_once(&self, token: &str, method: &str, args: &Value, key: &str) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            match self.attempt(token, method, args, Some(key)).await? {
                Attempt::Answered(body) => return Ok(body),
                Attempt::Again(_, why) if begun.elapsed() > REPEATED_FOR => {
                    return Err(Away(format!("{method}: {why}")).into());
                }
                Attempt::Again(wait, _) => tokio::time::sleep(wait).await,
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
            Err(why) => return Ok(Attempt::Again(PAUSE, format!("no server answers at {}: {why}", self.url))),
        };
        let status = answer.status().as_u16();
        let wait = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
        let body: Value = match answer.json().await {
            Ok(body) => body,
            Err(why) if why.is_decode() => return Err(why).context("the server's answer is no JSON"),
            Err(why) => return Ok(Attempt::Again(PAUSE, format!("the answer broke off: {why}"))),
        };
        let error = body["error"].as_str().unwrap_or("no error code");
        if matches!(status, 429 | 503) {
            return Ok(Attempt::Again(wait.map_or(PAUSE, Duration::from_secs), error.to_owned()));
        }
        if body["ok"] != Value::Bool(true) {
            bail!("{method}: {error}");
        }
        Ok(Attempt::Answered(body))
    }
}
