//! The gateway's settings. Only the program reads files and the environment; here they are data.

use std::time::Duration;

use uuid::Uuid;

/// The rule for who may create a team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signup {
    /// Anybody on this machine; others with the key, if there is one.
    #[default]
    Loopback,
    /// Operators only.
    Closed,
    /// Callers with the key.
    Key,
}

/// How fast one may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    /// False for benches.
    pub enabled: bool,
    /// Calls a second that one user may make in the long run.
    pub calls_per_second: u32,
    /// Calls that may come at once.
    pub calls_burst: u32,
    /// Sign-ins and sign-ups a minute from one address, and sign-ins to one account.
    pub signins_per_minute: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Rates { enabled: true, calls_per_second: 100, calls_burst: 500, signins_per_minute: 30 }
    }
}

/// Settings of the gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// This node.
    pub node: Uuid,
    /// Where clients reach it, without a slash at the end: `http://127.0.0.1:8080`.
    pub public_url: String,
    /// The rule for who may create a team.
    pub signup: Signup,
    /// The key that a caller of `teamlog.teams.create` must send under [`Signup::Key`].
    pub signup_key: Option<String>,
    /// The token of operators' calls. With none, there are no such calls.
    pub admin_key: Option<String>,
    /// How long a caller waits for a write's outcome.
    pub write_deadline: Duration,
    /// How long a call may take in all.
    pub call_deadline: Duration,
    /// How fast one may call.
    pub rates: Rates,
    /// Passwords hashed or checked at once: each takes 19 MB and tens of milliseconds of a core.
    pub passwords_at_once: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            node: Uuid::nil(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            signup: Signup::default(),
            signup_key: None,
            admin_key: None,
            write_deadline: Duration::from_secs(10),
            call_deadline: Duration::from_secs(30),
            rates: Rates::default(),
            passwords_at_once: 2,
        }
    }
}

impl GatewayConfig {
    /// Returns the `ws://` or `wss://` form of [`GatewayConfig::public_url`].
    pub fn websocket_url(&self) -> String {
        websocket_url(&self.public_url)
    }
}

/// Returns the websocket form of an http URL.
pub(crate) fn websocket_url(url: &str) -> String {
    match url.split_once("://") {
        Some(("https", rest)) => format!("wss://{rest}"),
        Some((_, rest)) => format!("ws://{rest}"),
        None => format!("ws://{url}"),
    }
}
