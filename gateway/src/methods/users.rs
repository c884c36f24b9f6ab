//! `users.*`

use serde_json::{Map, Value, json};
use teamlog_schemas::UserId;
use teamlog_state::{Member, Team};

use super::{Call, Method, Reply, conversations, paging::Cursor, rows};
use crate::{ApiError, limits, render};

pub(super) const METHODS: &[Method] = rows! {
    "users.conversations" "channels:read" User Repeatable conversations::read::of_user;
    "users.getPresence" "users:read" User Repeatable get_presence;
    "users.info" "users:read" User Repeatable info;
    "users.list" "users:read" User Repeatable list;
    "users.lookupByEmail" "users:read.email" User Repeatable lookup_by_email;
    "users.prefs.get" "" User Repeatable prefs_get;
    "users.profile.get" "users.profile:read" User Repeatable profile_get;
    "users.setActive" "users:write" User Repeatable set_active;
    "users.setPresence" "users:write" User Repeatable set_presence;
};

/// `users.list`
async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let team = call.caller()?.team.read();
    let limit = match call.args.limit("limit")? {
        Some(limit) => limit,
        None if team.people_len() > limits::WHOLE_LIST_MAX => return Err(ApiError::refused("limit_required")),
        None => limits::WHOLE_LIST_MAX,
    };
    let from = Cursor::Person.of(call.args)?.unwrap_or(0);
    let locale = call.args.flag("include_locale")?.unwrap_or(false);
    let end = team.people_len() as u64;
    let behind = from.saturating_add(limit as u64).min(end);
    let members: Vec<Value> = (from..behind)
        .filter_map(|index| team.person_at(u32::try_from(index).ok()?))
        .map(|member| one(&team, member, locale))
        .collect();
    Ok(Reply::from(json!({
        "members": members,
        "cache_ts": team.last_ts().max(team.created()).seconds(),
        "response_metadata": Cursor::Person.metadata((behind < end).then_some(behind)),
    })))
}

/// `users.info`
async fn info(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = call.args.user("user")?;
    let locale = call.args.flag("include_locale")?.unwrap_or(false);
    let team = call.caller()?.team.read();
    let member = team.person(user).ok_or(ApiError::refused("user_not_found"))?;
    Ok(Reply::from(json!({ "user": one(&team, member, locale) })))
}

/// `users.lookupByEmail`
async fn lookup_by_email(call: &Call<'_>) -> Result<Reply, ApiError> {
    let email = call.args.required("email", "users_not_found")?;
    let team = call.caller()?.team.read();
    let member = team.person_by_email(email.trim()).filter(|member| !member.person.deleted);
    let member = member.ok_or(ApiError::refused("users_not_found"))?;
    Ok(Reply::from(json!({ "user": one(&team, member, false) })))
}

fn one(team: &Team, member: &Member, locale: bool) -> Value {
    let mut user = render::user(team, member);
    if locale {
        user["locale"] = json!("en-US");
    }
    user
}

/// Whom a call is about: `user`, or the caller.
fn whom(call: &Call<'_>) -> Result<UserId, ApiError> {
    let caller = call.caller()?;
    let user = if call.args.filled("user")?.is_some() { call.args.user("user")? } else { caller.user };
    match caller.team.read().person(user) {
        Some(_) => Ok(user),
        None => Err(ApiError::refused("user_not_found")),
    }
}

/// `users.getPresence`
async fn get_presence(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = whom(call)?;
    let caller = call.caller()?;
    let found = call.gateway.realtime().presence(caller.team.id(), user);
    let mut reply = Map::new();
    reply.insert("presence".to_owned(), json!(if found.active { "active" } else { "away" }));
    // One's own comes with how it comes about.
    if user == caller.user {
        reply.insert("online".to_owned(), json!(found.connections > 0));
        reply.insert("auto_away".to_owned(), json!(!found.active && !found.manual_away));
        reply.insert("manual_away".to_owned(), json!(found.manual_away));
        reply.insert("connection_count".to_owned(), json!(found.connections));
    }
    Ok(reply.into())
}

/// `users.setPresence`
async fn set_presence(call: &Call<'_>) -> Result<Reply, ApiError> {
    let away = match call.args.required("presence", "invalid_presence")?.as_ref() {
        "away" => true,
        "auto" | "active" => false,
        _ => return Err(ApiError::refused("invalid_presence")),
    };
    let caller = call.caller()?;
    call.gateway.realtime().set_presence(caller.team.id(), caller.user, away);
    Ok(Reply::empty())
}

/// `users.setActive`: sockets say it by themselves now.
async fn set_active(_: &Call<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::empty())
}

/// `users.profile.get`
async fn profile_get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = whom(call)?;
    let team = call.caller()?.team.read();
    let member = team.person(user).ok_or(ApiError::refused("user_not_found"))?;
    Ok(Reply::from(json!({ "profile": render::user(&team, member)["profile"].take() })))
}

/// `users.prefs.get`
async fn prefs_get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let member = team.person(caller.user).ok_or(ApiError::refused("account_inactive"))?;
    Ok(Reply::from(json!({ "prefs": render::self_prefs(member) })))
}
