//! `bots.*`

use serde_json::json;
use teamlog_schemas::BotId;

use super::{Call, Method, Reply, rows};
use crate::{ApiError, render};

pub(super) const METHODS: &[Method] = rows! {
    "bots.info" "users:read" User Repeatable bots_info;
};

/// `bots.info`
async fn bots_info(call: &Call<'_>) -> Result<Reply, ApiError> {
    let not_found = || ApiError::refused("bot_not_found");
    let id: BotId = call.args.required("bot", "bot_not_found")?.parse().map_err(|_| not_found())?;
    let team = call.caller()?.team.read();
    let by_user =
        || team.people().find(|member| member.person.bot == Some(id)).and_then(|m| render::user_bot(&team, m));
    let bot = team.bot(id).map(|bot| render::bot(&team, bot)).or_else(by_user).ok_or_else(not_found)?;
    Ok(Reply::from(json!({ "bot": bot })))
}
