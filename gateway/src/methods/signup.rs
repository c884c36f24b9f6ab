//! `teamlog.*`: teams, people and tokens, beyond what Slack has.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use teamlog_ingest::{Command, LiveTeam, NewPerson, NewTeam, TeamsError};
use teamlog_log::TopicPartition;
use teamlog_schemas::{Event, TeamCreated, TeamId, TeamRegistered, UserId};
use tracing::warn;
use uuid::Uuid;

use super::{Call, Reply, passwords, write::event_of};
use crate::{ApiError, auth, config::Signup, error::settle, render};

/// How long a connection waits for the general channel to be entered.
const ENTER_WAIT: Duration = Duration::from_secs(2);

/// `teamlog.teams.create`
pub(super) async fn create_team(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    if !may_sign_up(call)? {
        return Err(ApiError::refused("signup_closed"));
    }
    if !call.admin && !call.peer.is_local {
        call.gateway.rates().signin(format!("peer/{:?}", call.peer.address))?;
    }
    let hash = new_password(call, "owner_password").await?;
    let (team, user) = (TeamId::random('T', rand::random()), UserId::random('U', rand::random()));
    let owner = NewPerson {
        user: Some(user),
        name: args.required("owner_name", "invalid_name_required")?.into_owned(),
        real_name: args.filled("owner_real_name")?.map(|name| name.into_owned()).unwrap_or_default(),
        email: args.filled("owner_email")?.map(|email| email.into_owned()),
        is_admin: true,
        with_token: true,
        ..NewPerson::default()
    };
    let domain = args.required("domain", "invalid_domain")?.into_owned();
    let name = args.filled("name")?.map_or_else(|| domain.clone(), |name| name.into_owned());
    let owner = NewPerson { credential_id: keep_password(call, team, user, hash).await?, ..owner };
    let (key, deadline) = (call.key.clone(), call.deadline());
    let new = NewTeam { domain, name, owner, team: Some(team), channels: None, key, deadline };
    let answer = call.gateway.ingest().create_team(new).await;
    call.seen(&answer).await;
    let event = event_of(settle(answer)?)?;
    // The first of the two steps tells the whole team, and so does the second.
    let (Event::TeamRegistered(TeamRegistered { meta, owner, .. })
    | Event::TeamCreated(TeamCreated { meta, owner, .. })) = &*event
    else {
        return Err(ApiError::outcome_unknown());
    };
    let (team, owner) = (meta.team, owner.user);
    // It is made: that it cannot be looked at now must not read as if it could be made again.
    let team = call.gateway.ingest().team(team).await.map_err(|_| ApiError::outcome_unknown())?;
    let token = call.gateway.ingest().secrets().token_of(&event);
    let guard = team.read();
    let mut reply = Map::new();
    reply.insert("team".to_owned(), render::team(&guard));
    with_user(&mut reply, &guard, owner, token)?;
    Ok(reply.into())
}

/// Whether the caller may make a team at all.
fn may_sign_up(call: &Call<'_>) -> Result<bool, ApiError> {
    let config = call.gateway.config();
    let given = call.args.filled("signup_key")?;
    let has_key = config.signup_key.as_deref().zip(given.as_deref()).is_some_and(|(key, given)| auth::same(key, given));
    Ok(call.admin
        || match config.signup {
            Signup::Loopback => call.peer.is_local || has_key,
            Signup::Closed => false,
            Signup::Key => has_key,
        })
}

/// `teamlog.users.create`
pub(super) async fn create_user(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let (team, actor) = place(call).await?;
    let is_allowed = actor.is_none_or(|actor| {
        team.read().person(actor).is_some_and(|member| member.person.is_admin || member.person.is_owner)
    });
    if !is_allowed {
        return Err(ApiError::refused("restricted_action"));
    }
    let hash = new_password(call, "password").await?;
    let user = UserId::random('U', rand::random());
    let person = NewPerson {
        user: Some(user),
        name: args.required("name", "invalid_name_required")?.into_owned(),
        real_name: args.filled("real_name")?.map(|name| name.into_owned()).unwrap_or_default(),
        email: args.filled("email")?.map(|email| email.into_owned()),
        is_bot: args.flag("is_bot")?.unwrap_or(false),
        is_admin: args.flag("is_admin")?.unwrap_or(false),
        tz: args.filled("tz")?.map(|tz| tz.into_owned()),
        with_token: true,
        ..NewPerson::default()
    };
    let person = NewPerson { credential_id: keep_password(call, team.id(), user, hash).await?, ..person };
    let command = Command::CreateUser(Box::new(person));
    let event = event_of(call.write_as(team.id(), actor, call.key.clone(), command).await?)?;
    let Event::UserCreated(created) = &*event else { return Err(ApiError::outcome_unknown()) };
    // A retry with the call's key finds its first answer, so the person is whoever that made.
    enter_general(call, &team, created.person.user).await;
    let token = call.gateway.ingest().secrets().token_of(&event);
    let mut reply = Map::new();
    with_user(&mut reply, &team.read(), created.person.user, token)?;
    Ok(reply.into())
}

/// Whoever comes is in the general channel. It is a write of its own, so where it fails (or a crash comes between) the
/// person is there all the same, and it is done when they connect. A look in memory for who is in it.
pub(super) async fn enter_general(call: &Call<'_>, team: &Arc<LiveTeam>, user: UserId) {
    let general = {
        let team = team.read();
        team.general().filter(|c| !team.is_member(user, c.conversation)).map(|c| c.conversation)
    };
    let Some(conversation) = general else { return };
    // Joining twice is no harm, so it needs no key; nor may it keep anybody from connecting while the log is away.
    let joining = call.write_as(team.id(), Some(user), None, Command::Join { conversation });
    match tokio::time::timeout(ENTER_WAIT, joining).await {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => warn!(team = %team.id(), %user, why = why.code(), "somebody is not in the general channel yet"),
        Err(_) => warn!(team = %team.id(), %user, "somebody is not in the general channel in time"),
    }
}

/// `teamlog.auth.signin`: whatever is wrong, it is `invalid_auth`, and takes as long.
pub(super) async fn signin(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let invalid = || ApiError::refused("invalid_auth");
    let credentials =
        call.gateway.credentials().ok_or(ApiError::refused("not_accepted").saying("no passwords here"))?;
    let (domain, email) = (args.text("domain")?.unwrap_or_default(), args.text("email")?.unwrap_or_default());
    let password = args.text("password")?.unwrap_or_default().into_owned();
    let account: String = format!("{domain}/{}", email.to_lowercase()).chars().take(320).collect();
    call.gateway.rates().signin(format!("peer/{:?}", call.peer.address))?;
    call.gateway.rates().signin(format!("account/{account}"))?;
    let team = match call.gateway.ingest().directory().find_domain(&domain).await? {
        Some(entry) => Some(call.gateway.ingest().team(entry.team).await?),
        None => None,
    };
    let user = team.as_ref().and_then(|team| {
        let team = team.read();
        let member = team.person_by_email(email.trim()).filter(|member| !member.person.deleted)?;
        Some(member.person.user)
    });
    let hash = match team.as_ref().zip(user) {
        Some((team, user)) => credentials.password(team.id(), user).await?,
        None => None,
    };
    let fits = passwords::fits(call, hash, password).await?;
    let (team, user) = team.zip(user).filter(|_| fits).ok_or_else(invalid)?;
    let (token, _) = issue(call, &team, Some(user), user).await?;
    let mut reply = Map::new();
    with_user(&mut reply, &team.read(), user, Some(token))?;
    Ok(reply.into())
}

/// `teamlog.users.token`, with the operators' key: `domain`, `user` (an id or a handle).
pub(super) async fn issue_token(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (team, _) = place(call).await?;
    let wanted = call.args.required("user", "user_not_found")?;
    let user = {
        let team = team.read();
        let by_id = wanted.parse::<UserId>().ok().and_then(|user| team.person(user));
        let member = by_id.or_else(|| team.person_named(wanted.trim_start_matches('@')));
        member.map(|member| member.person.user).ok_or(ApiError::refused("user_not_found"))?
    };
    let (token, user) = issue(call, &team, None, user).await?;
    let mut reply = Map::new();
    with_user(&mut reply, &team.read(), user, Some(token))?;
    Ok(reply.into())
}

/// A new token's text, and whose it is.
async fn issue(
    call: &Call<'_>,
    team: &Arc<LiveTeam>,
    actor: Option<UserId>,
    user: UserId,
) -> Result<(String, UserId), ApiError> {
    let command = Command::IssueToken { user };
    let event = event_of(call.write_as(team.id(), actor, call.key.clone(), command).await?)?;
    let Event::TokenIssued(issued) = &*event else { return Err(ApiError::outcome_unknown()) };
    let token = call.gateway.ingest().secrets().token_of(&event).ok_or(ApiError::outcome_unknown())?;
    Ok((token, issued.token.user))
}

/// `teamlog.teams.list`, with the operators' key.
pub(super) async fn list_teams(call: &Call<'_>) -> Result<Reply, ApiError> {
    let mut entries = call.gateway.ingest().directory().current().await?.entries();
    entries.sort_unstable_by_key(|entry| entry.offset);
    let teams: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "id": entry.team,
                "domain": entry.domain,
                "name": entry.name,
                "partition": entry.partition,
                "shard": entry.shard,
            })
        })
        .collect();
    Ok(Reply::from(json!({ "teams": teams })))
}

/// `teamlog.users.list`, with the operators' key: everybody of a `domain`, in short.
pub(super) async fn list_users(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (team, _) = place(call).await?;
    let team = team.read();
    let users: Vec<Value> = team
        .people()
        .map(|member| {
            let person = &member.person;
            json!({
                "id": person.user,
                "name": person.name.as_str(),
                "real_name": person.real_name.as_str(),
                "email": person.email.as_ref().map(|email| email.as_str()),
                "is_admin": person.is_admin,
                "is_bot": person.bot.is_some(),
                "deleted": person.deleted,
            })
        })
        .collect();
    Ok(Reply::from(json!({ "users": users })))
}

/// `teamlog.status`
pub(super) async fn status(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let partition = caller.team.partition();
    let counted = call.gateway.ingest().teams().position(partition);
    let read = call.gateway.feed().position(TopicPartition::events(partition));
    let sessions = call.gateway.realtime().sessions(caller.team.id());
    let report = call.gateway.health().report().await;
    let team = caller.team.read();
    Ok(Reply::from(json!({
        "team_id": team.id(),
        "domain": team.domain(),
        "shard": team.shard(),
        "partition": partition,
        "counted": { "offset": counted.offset, "epoch": counted.epoch, "log_id": counted.log_id },
        "read": { "offset": read.offset, "epoch": read.epoch },
        "lag": read.offset.0.saturating_sub(counted.offset.0),
        "sessions": sessions,
        "people": team.people_len(),
        "conversations": team.conversations_len(),
        "ready": report.ready,
        "parts": report.parts,
    })))
}

/// The team that a call is about, and in whose name it acts: the caller's own, or an operator's choice of a `domain`
/// (or `team`), where nobody is the actor.
async fn place(call: &Call<'_>) -> Result<(Arc<LiveTeam>, Option<UserId>), ApiError> {
    if let Some(caller) = &call.caller {
        return Ok((caller.team.clone(), Some(caller.user)));
    }
    let not_found = || ApiError::refused("team_not_found");
    let directory = call.gateway.ingest().directory();
    let entry = match call.args.filled("domain")? {
        Some(domain) => directory.find_domain(&domain).await?,
        None => {
            let team = call.args.required("team", "team_not_found")?;
            directory.find(team.parse().map_err(|_| not_found())?).await?
        }
    };
    let team = entry.ok_or_else(not_found)?.team;
    match call.gateway.ingest().team(team).await {
        Ok(team) => Ok((team, None)),
        Err(TeamsError::NotFound) => Err(not_found()),
        Err(why) => Err(why.into()),
    }
}

/// The hash of a password that the call brings.
async fn new_password(call: &Call<'_>, name: &str) -> Result<Option<String>, ApiError> {
    let Some(password) = call.args.filled(name)? else { return Ok(None) };
    if call.gateway.credentials().is_none() {
        return Err(ApiError::refused("not_accepted").saying("no passwords here"));
    }
    passwords::hash(call, password.into_owned()).await.map(Some)
}

/// Stores a password's hash for somebody who does not exist yet: it counts once the event that makes them names the id.
/// So nobody is made whose password got lost, and a failure here has done nothing.
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
