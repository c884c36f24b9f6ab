//! `auth.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::commands::RevokeToken;

use super::{Call, Method, Reply, rows};
use crate::{ApiError, render};

pub(super) const METHODS: &[Method] = rows! {
    "auth.test" "" User Repeatable auth_test;
    "auth.revoke" "" User Once auth_revoke;
};

/// `auth.test`
async fn auth_test(call: &Call<'_>) -> Result<Reply, ApiError> {
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
async fn auth_revoke(call: &Call<'_>) -> Result<Reply, ApiError> {
    if call.args.flag("test")?.unwrap_or(false) {
        return Ok(Reply::from(json!({ "revoked": false })));
    }
    call.write(RevokeToken { hash: call.caller()?.token_hex() }).await?;
    Ok(Reply::from(json!({ "revoked": true })))
}
