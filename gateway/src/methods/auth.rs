//! `auth.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::commands::RevokeToken;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{
    ApiError,
    args::{NoArgs, args},
    render,
};

pub(super) const METHODS: &[Method] = &[REVOKE, TEST];

const TEST: Method = Method {
    name: "auth.test",
    alias_of: None,
    about: "Tells whose token it is.",
    scope: "",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(NoArgs => test),
    answers: &[
        Key::always("url", Shape::Text, "Where the team is reached."),
        Key::always("team", Shape::Text, "The team's name."),
        Key::always("user", Shape::Text, "The user's handle."),
        Key::always("team_id", Shape::Text, "The team."),
        Key::always("user_id", Shape::Text, "The user."),
        Key::always("bot_id", Shape::Text, "The user's bot. People have one too, because some clients need it."),
        Key::always("is_enterprise_install", Shape::Flag, "False."),
    ],
    errors: &[],
    examples: &[|| json!({})],
};

async fn test(call: &Call<'_>, _: NoArgs) -> Result<Reply, ApiError> {
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
    // A client that gets no `bot_id` takes every message without a bot for its own.
    if let Some(bot) = render::bot_id_of(&member.person) {
        put("bot_id", json!(bot));
    }
    put("is_enterprise_install", json!(false));
    Ok(reply.into())
}

const REVOKE: Method = Method {
    name: "auth.revoke",
    alias_of: None,
    about: "Revokes the token of the call, and closes its sockets.",
    scope: "",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Revoke => revoke),
    answers: &[Key::always("revoked", Shape::Flag, "False for a test.")],
    errors: &["token_not_found"],
    examples: &[|| json!({ "test": true }), || json!({})],
};

args! {
    struct Revoke {
        /// True to revoke nothing.
        test: bool,
    }
}

async fn revoke(call: &Call<'_>, args: Revoke) -> Result<Reply, ApiError> {
    if args.test {
        return Ok(Reply::from(json!({ "revoked": false })));
    }
    call.write(RevokeToken { hash: call.caller()?.token_hex() }).await?;
    Ok(Reply::from(json!({ "revoked": true })))
}
