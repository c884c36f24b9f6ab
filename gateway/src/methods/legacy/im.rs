//! `im.*`: direct messages of two.

use serde_json::json;
use teamlog_schemas::ConversationKind;

use super::{
    super::{
        Call, Key, Method, Reply, Shape, Tier,
        conversations::{history, members, read},
        takes,
    },
    LIST_ERRORS, List, list,
};
use crate::ApiError;

pub(crate) const METHODS: &[Method] = &[
    members::CLOSE.named("im.close", "im:write", Tier::Two),
    history::HISTORY
        .named("im.history", "im:history", Tier::Four)
        .shown_by(&[|| json!({ "channel": "D0BOB", "latest": "1700000000.000400" })]),
    Method {
        about: "Lists the caller's direct messages of two.",
        takes: takes!(List => every),
        answers: &[Key::always("ims", Shape::List, "The direct messages."), super::PAGE],
        errors: LIST_ERRORS,
        examples: &[|| json!({})],
        ..read::LIST.named("im.list", "im:read", Tier::Two)
    },
    read::MARK
        .named("im.mark", "im:write", Tier::Three)
        .shown_by(&[|| json!({ "channel": "D0BOB", "ts": "1700000000.000400" })]),
    members::OPEN
        .named("im.open", "im:write", Tier::Four)
        .shown_by(&[|| json!({ "user": "U0CYD" }), || json!({ "user": "U0CYD", "return_im": true })]),
    history::REPLIES
        .named("im.replies", "im:history", Tier::Two)
        .shown_by(&[|| json!({ "channel": "D0BOB", "thread_ts": "1700000000.000400" })]),
];

async fn every(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "ims", args, |team, c| c.kind == ConversationKind::Im && team.is_member(user, c.conversation))
}
