//! `teamlog.teams.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::{NewPerson, NewTeam};
use teamlog_schemas::{TeamId, TeamRegistered, UserId};

use super::{
    super::{Call, Method, Reply, rows},
    keep_password, new_password, with_user,
};
use crate::{ApiError, auth, config::Signup, error::settle, render};

pub(in super::super) const METHODS: &[Method] = rows! {
    "teamlog.teams.create" "" Anybody Once create;
    "teamlog.teams.list" "" Admin Repeatable list;
};

/// `teamlog.teams.create`
async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    if !may_sign_up(call)? {
        return Err(ApiError::refused("signup_closed"));
    }
    if !call.admin && !call.client.is_local {
        call.gateway.rates().signin(format!("peer/{:?}", call.client.address))?;
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
    let registered = settle::<TeamRegistered>(answer)?.made()?;
    let (team, owner) = (registered.meta.team, registered.owner.user);
    // It is made: that it cannot be looked at now must not read as if it could be made again.
    let team = call.gateway.ingest().team(team).await.map_err(|_| ApiError::outcome_unknown())?;
    let token = call.gateway.ingest().secrets().token_of(registered.event());
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
            Signup::Loopback => call.client.is_local || has_key,
            Signup::Closed => false,
            Signup::Key => has_key,
        })
}

/// `teamlog.teams.list`, with the operators' key.
async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
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
