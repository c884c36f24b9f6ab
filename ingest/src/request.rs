//! Requests: commands with what their decisions depend on beside the team. They never enter the log; between nodes they
//! travel as JSON, in which a newer node's keys are ignored and an older one's are defaulted.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use teamlog_schemas::{TeamId, UserId};
use tokio::time::Instant;

use crate::commands::Command;

/// A command with all that its decision depends on beside the team's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The team.
    pub team: TeamId,
    /// The user who sends the command; `None` for the operator's tools, which are allowed everything.
    pub actor: Option<UserId>,
    /// The Web API method, for the idempotency key and for metrics.
    pub method: Cow<'static, str>,
    /// The idempotency key, if the client sent one: at most 255 bytes.
    pub key: Option<String>,
    /// The moment when the caller stops waiting. A command that was not appended by then is dropped.
    #[serde(skip, default = "Instant::now")]
    pub deadline: Instant,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The command.
    pub command: Command,
}
