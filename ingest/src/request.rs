//! Requests: commands with what their decisions depend on beside the team. They never enter the log; between nodes they
//! travel as JSON, in which a newer node's keys are ignored and an older one's are defaulted.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use teamlog_schemas::{BotId, FirstChannel, TeamId, Text, UserId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::commands::Command;

/// A command with all that its decision depends on beside the team's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The team.
    pub team: TeamId,
    /// Who asks; none for the operator's tools, who may do everything.
    pub actor: Option<UserId>,
    /// The Web API method, for the idempotency key and for metrics.
    pub method: Cow<'static, str>,
    /// The idempotency key, if the client sent one: at most 255 bytes.
    pub key: Option<String>,
    /// When the caller stops waiting: what is not in the log by then is not appended any more.
    #[serde(skip, default = "Instant::now")]
    pub deadline: Instant,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// What is wanted.
    pub command: Command,
}

/// A person to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewPerson {
    /// An imported id; none for a new one.
    pub user: Option<UserId>,
    /// The handle.
    pub name: String,
    /// The name as people write it; the handle if empty.
    pub real_name: String,
    /// The address.
    pub email: Option<String>,
    /// A bot's user.
    pub is_bot: bool,
    /// An imported bot id, with `is_bot`.
    pub bot: Option<BotId>,
    /// May manage the team.
    pub is_admin: bool,
    /// Deactivated (by an import).
    pub deleted: bool,
    /// A name of the tz database.
    pub tz: Option<String>,
    /// A JSON object (by an import).
    pub extra: Option<String>,
    /// The password's record in `credentials`.
    pub credential_id: Option<Uuid>,
    /// Give a token too.
    pub with_token: bool,
}

/// A team to be made: the first of the two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTeam {
    /// The domain.
    pub domain: String,
    /// The name.
    pub name: String,
    /// The owner: always an admin, never a bot.
    pub owner: NewPerson,
    /// An imported team id; none for a new one.
    pub team: Option<TeamId>,
    /// The channels that it begins with; none for `general` and `random`.
    pub channels: Option<Vec<FirstChannel>>,
    /// The idempotency key: good for the same domain and owner's email.
    pub key: Option<String>,
    /// When the caller stops waiting.
    #[serde(skip, default = "Instant::now")]
    pub deadline: Instant,
}

/// Personal text that may be absent.
pub(crate) fn text(plain: &Option<String>) -> Option<Text> {
    plain.as_deref().map(Text::from)
}
