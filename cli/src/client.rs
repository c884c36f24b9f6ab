//! Calls to a running server.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::parts::DataDir;

/// Where a server is, and the operators' key to it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    url: String,
    key: String,
    http: reqwest::Client,
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
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("no server runs on {} (no {})", data.0.display(), path.display()))?;
        let run: Value = serde_json::from_str(&text).with_context(|| format!("{} is broken", path.display()))?;
        let of = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        Ok(Client::new(url.unwrap_or(&of("url")), key.unwrap_or(&of("admin_key"))))
    }

    /// Calls a method with the operators' key.
    pub(crate) async fn call(&self, method: &str, args: &Value) -> anyhow::Result<Value> {
        self.call_as(&self.key, method, args).await
    }

    /// Calls a method with somebody's token.
    pub(crate) async fn call_as(&self, token: &str, method: &str, args: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}/api/{method}", self.url)).bearer_auth(token).json(args);
        let answer = request.send().await.with_context(|| format!("no server answers at {}", self.url))?;
        let body: Value = answer.json().await.context("the server's answer is no JSON")?;
        if body["ok"] != Value::Bool(true) {
            bail!("{method}: {}", body["error"].as_str().unwrap_or("no error code"));
        }
        Ok(body)
    }
}
