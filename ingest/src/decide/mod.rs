//! Deciding: pure functions of a team, facts, a request, and what the writer's clock and dice say. Each command's own
//! decision is in its file under `commands/`.

mod attachments;
mod content;
mod context;
mod decision;
mod mentions;
pub(crate) mod names;
mod now;
mod register;

use teamlog_state::{Facts, FactsWanted, Team, WriteKey};

use crate::{Refusal, Request, commands::Command};
pub(crate) use attachments::Attachments;
pub(crate) use content::{Content, fits};
pub(crate) use context::Context;
use context::Origin;
pub use decision::Decision;
pub(crate) use mentions::Mentions;
pub use now::Now;
pub use register::{decide_team, team_begun};

/// Returns the facts that a request needs beside the team: those of its command, and the event of its idempotency key if the
/// team does not remember it.
pub fn facts_wanted(team: &Team, request: &Request) -> FactsWanted {
    let mut wanted = request.command.wants(team);
    if let Some(key) = &request.key {
        let key = WriteKey { actor: request.actor, method: request.method.clone().into_owned(), key: key.clone() };
        if team.recent_write(&key).is_none() {
            wanted.key = Some(key);
        }
    }
    wanted
}

/// Decides one request against a team; `None` is a team that has not begun. The caller has looked for an earlier use of the
/// idempotency key before.
///
/// # Errors
/// Why the command may not or cannot be done.
pub fn decide(team: Option<&Team>, facts: &Facts, request: &Request, now: Now<'_>) -> Result<Decision, Refusal> {
    let Some(team) = team else {
        let Command::BeginTeam(begin) = &request.command else { return Err(Refusal::TeamNotFound) };
        return Ok(Decision::Event(begin.begin(&now).into()));
    };
    let origin = Origin { actor: request.actor, method: &request.method, key: request.key.as_deref() };
    request.command.decide(&mut Context::new(team, facts, origin, now)?)
}
