//! `team.*`

use serde_json::json;
use teamlog_schemas::TeamId;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{ApiError, args::args, render};

pub(super) const METHODS: &[Method] = &[INFO];

const INFO: Method = Method {
    name: "team.info",
    alias_of: None,
    about: "Describes the caller's team.",
    scope: "team:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(Info => info),
    answers: &[Key::always("team", Shape::Object, "The team.")],
    errors: &[],
    examples: &[|| json!({}), || json!({ "team": "T0LOVELACE" })],
};

args! {
    struct Info {
        /// The caller's team; no other one can be asked for.
        team: Option<TeamId>,
    }
}

async fn info(call: &Call<'_>, args: Info) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    if args.team.is_some_and(|wanted| wanted != caller.team.id()) {
        return Err(ApiError::refused("team_not_found"));
    }
    let mut team = render::team(&caller.team.read());
    team["url"] = json!(format!("{}/", call.gateway.config().public_url));
    Ok(Reply::from(json!({ "team": team })))
}
