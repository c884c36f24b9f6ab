//! `bots.*`

use serde_json::json;
use teamlog_schemas::BotId;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{ApiError, args::args, render};

pub(super) const METHODS: &[Method] = &[INFO];

const INFO: Method = Method {
    name: "bots.info",
    alias_of: None,
    about: "Describes a bot.",
    scope: "users:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(Info => info),
    answers: &[Key::always("bot", Shape::Object, "The bot.")],
    errors: &[],
    examples: &[|| json!({ "bot": "B0ROBOT" })],
};

args! {
    struct Info {
        /// The bot.
        bot: BotId,
    }
}

async fn info(call: &Call<'_>, args: Info) -> Result<Reply, ApiError> {
    let id = args.bot;
    let team = call.caller()?.team.read();
    let by_user =
        || team.people().find(|member| member.person.bot == Some(id)).and_then(|m| render::user_bot(&team, m));
    let bot = team.bot(id).map(|bot| render::bot(&team, bot)).or_else(by_user);
    Ok(Reply::from(json!({ "bot": bot.ok_or(ApiError::refused("bot_not_found"))? })))
}
