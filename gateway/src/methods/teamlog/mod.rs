//! `teamlog.*`: teams, people, tokens and imports, beyond what Slack has.

pub(super) mod auth;
pub(super) mod import;
pub(super) mod jobs;
mod passwords;
pub(super) mod status;
pub(super) mod teams;
pub(super) mod users;

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use teamlog_ingest::commands::{IssueToken, Join};
use teamlog_live::{LiveTeam, TeamsError};
use teamlog_schemas::{TeamId, UserId};
use tracing::warn;
use uuid::Uuid;

use super::{Call, Key, Shape};
use crate::{ApiError, render};

const USER: Key = Key::always("user", Shape::Object, "The person.");
const TOKEN: Key = Key::always("token", Shape::Text, "Their token.");

/// How long a connection waits for the general channel to be entered.
const ENTER_WAIT: Duration = Duration::from_secs(2);

/// Returns the team that a call is about, and its actor: the caller's own team and the caller, or an operator's choice of a
/// domain or an id, and no actor.
async fn place(
    call: &Call<'_>,
    domain: Option<&str>,
    team: Option<TeamId>,
) -> Result<(Arc<LiveTeam>, Option<UserId>), ApiError> {
    if let Some(caller) = &call.caller {
        return Ok((caller.team.clone(), Some(caller.user)));
    }
    let not_found = || ApiError::refused("team_not_found");
    let directory = call.gateway.ingest().directory();
    let entry = match domain {
        Some(domain) => directory.find_domain(domain).await?,
        None => directory.find(team.ok_or_else(not_found)?).await?,
    };
    let team = entry.ok_or_else(not_found)?.team;
    match call.gateway.ingest().team(team).await {
        Ok(team) => Ok((team, None)),
        Err(TeamsError::NotFound) => Err(not_found()),
        Err(why) => Err(why.into()),
    }
}

/// Adds a person to the general channel. This is a separate write: if it fails, or the process crashes before it, the
/// person exists all the same and is added when they connect. For a member it only costs a look in memory.
pub(super) async fn enter_general(call: &Call<'_>, team: &Arc<LiveTeam>, user: UserId) {
    let general = {
        let team = team.read();
        team.general().filter(|c| !team.is_member(user, c.conversation)).map(|c| c.conversation)
    };
    let Some(conversation) = general else { return };
    // Joining twice is no harm, so it needs no key; nor may it keep anybody from connecting while the log is away.
    let joining = call.write_as(team, Some(user), None, Join { conversation });
    match tokio::time::timeout(ENTER_WAIT, joining).await {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => warn!(team = %team.id(), %user, why = why.code(), "somebody is not in the general channel yet"),
        Err(_) => warn!(team = %team.id(), %user, "somebody is not in the general channel in time"),
    }
}

/// A new token's text, and whose it is.
async fn issue(
    call: &Call<'_>,
    team: &Arc<LiveTeam>,
    actor: Option<UserId>,
    user: UserId,
) -> Result<(String, UserId), ApiError> {
    let issued = call.write_as(team, actor, call.key.clone(), IssueToken { user }).await?.made()?;
    let token = call.gateway.ingest().secrets().token_of(issued.event()).ok_or(ApiError::outcome_unknown())?;
    Ok((token, issued.token.user))
}

/// Returns the hash of a password that the call brings.
async fn new_password(call: &Call<'_>, password: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(password) = password else { return Ok(None) };
    if call.gateway.credentials().is_none() {
        return Err(ApiError::refused("not_accepted").saying("no passwords here"));
    }
    passwords::hash(call, password).await.map(Some)
}

/// Stores the password hash of a person who does not exist yet. It is valid once the event that creates them names its id.
/// No person is thus created whose password is lost, and a failure here has no effect.
async fn keep_password(
    call: &Call<'_>,
    team: TeamId,
    user: UserId,
    hash: Option<String>,
) -> Result<Option<Uuid>, ApiError> {
    let (Some(hash), Some(credentials)) = (hash, call.gateway.credentials()) else { return Ok(None) };
    Ok(Some(credentials.store(team, user, hash).await?))
}

fn with_user(
    reply: &mut Map<String, Value>,
    team: &teamlog_state::Team,
    user: UserId,
    token: Option<String>,
) -> Result<(), ApiError> {
    let member = team.person(user).ok_or(ApiError::outcome_unknown())?;
    reply.insert("user".to_owned(), render::user(team, member));
    if let Some(token) = token {
        reply.insert("token".to_owned(), json!(token));
    }
    Ok(())
}
