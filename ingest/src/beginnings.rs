//! People and teams to be made. Between nodes they travel as JSON, in which a newer node's keys are ignored and an older
//! one's are defaulted.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{BotId, FirstChannel, TeamId, Text, UserId};
use tokio::time::Instant;
use uuid::Uuid;

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
