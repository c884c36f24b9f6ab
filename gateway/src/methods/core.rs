//! `api.test`, `auth.*`, `team.info`, `bots.info`, `emoji.list`, `rtm.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::Command;
use teamlog_schemas::BotId;

use super::{Call, Reply, signup};
use crate::{ApiError, render};

/// `api.test`
pub(super) async fn api_test(call: &Call<'_>) -> Result<Reply, ApiError> {
    if let Some(error) = call.args.filled("error")? {
        return Err(ApiError::echoed(error.into_owned()));
    }
    let mut reply = Map::new();
    if !call.args.is_empty() {
        reply.insert("args".to_owned(), Value::Object(call.args.values().clone()));
    }
    Ok(reply.into())
}

/// `auth.test`
pub(super) async fn auth_test(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let member = team.person(caller.user).ok_or(ApiError::refused("account_inactive"))?;
    let mut reply = Map::new();
    let mut put = |key: &str, value: Value| {
        reply.insert(key.to_owned(), value);
    };
    put("url", json!(format!("{}/", call.gateway.config().public_url)));
    put("team", json!(team.name()));
    put("user", json!(member.person.name.as_str()));
    put("team_id", json!(team.id()));
    put("user_id", json!(caller.user));
    // Everybody has one: a client that finds none takes every message without a bot for its own.
    if let Some(bot) = render::bot_id_of(&member.person) {
        put("bot_id", json!(bot));
    }
    put("is_enterprise_install", json!(false));
    Ok(reply.into())
}

/// `auth.revoke`
pub(super) async fn auth_revoke(call: &Call<'_>) -> Result<Reply, ApiError> {
    if call.args.flag("test")?.unwrap_or(false) {
        return Ok(Reply::from(json!({ "revoked": false })));
    }
    call.write(Command::RevokeToken { hash: call.caller()?.token_hex() }).await?;
    Ok(Reply::from(json!({ "revoked": true })))
}

/// `team.info`
pub(super) async fn team_info(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    if let Some(wanted) = call.args.filled("team")?
        && wanted != caller.team.id().to_string()
    {
        return Err(ApiError::refused("team_not_found"));
    }
    let mut team = render::team(&caller.team.read());
    team["url"] = json!(format!("{}/", call.gateway.config().public_url));
    Ok(Reply::from(json!({ "team": team })))
}

/// `bots.info`
pub(super) async fn bots_info(call: &Call<'_>) -> Result<Reply, ApiError> {
    let not_found = || ApiError::refused("bot_not_found");
    let id: BotId = call.args.required("bot", "bot_not_found")?.parse().map_err(|_| not_found())?;
    let team = call.caller()?.team.read();
    let by_user =
        || team.people().find(|member| member.person.bot == Some(id)).and_then(|m| render::user_bot(&team, m));
    let bot = team.bot(id).map(|bot| render::bot(&team, bot)).or_else(by_user).ok_or_else(not_found)?;
    Ok(Reply::from(json!({ "bot": bot })))
}

/// `emoji.list`: only the ones that everybody has, which clients bring themselves.
pub(super) async fn emoji_list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let since = call.caller()?.team.read().created();
    Ok(Reply::from(json!({ "emoji": {}, "cache_ts": since.to_string() })))
}

/// `rtm.connect`
pub(super) async fn rtm_connect(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    signup::enter_general(call, &caller.team, caller.user).await;
    call.gateway.realtime().connect(call.gateway, caller, call.args).await
}

/// `rtm.start`
pub(super) async fn rtm_start(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    signup::enter_general(call, &caller.team, caller.user).await;
    call.gateway.realtime().start(call.gateway, caller, call.args).await
}
