//! `emoji.*`

use serde_json::json;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{ApiError, args::NoArgs};

pub(super) const METHODS: &[Method] = &[LIST];

const LIST: Method = Method {
    name: "emoji.list",
    alias_of: None,
    about: "Lists the team's own emoji: none. Those that everybody has come with the clients.",
    scope: "emoji:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Two,
    takes: takes!(NoArgs => list),
    answers: &[
        Key::always("emoji", Shape::Object, "Urls by name."),
        Key::always("cache_ts", Shape::Text, "The `ts` of the newest change."),
    ],
    errors: &[],
    examples: &[|| json!({})],
};

async fn list(call: &Call<'_>, _: NoArgs) -> Result<Reply, ApiError> {
    let since = call.caller()?.team.read().created();
    Ok(Reply::from(json!({ "emoji": {}, "cache_ts": since.to_string() })))
}
