//! `mpim.*`: direct messages of more than two.

use serde_json::json;
use teamlog_schemas::{ConversationKind, UserId};

use super::{
    super::{
        Call, Key, Method, Reply, Shape, Tier,
        conversations::{
            history,
            members::{self, OPEN_ERRORS},
            read,
        },
        takes,
    },
    LIST_ERRORS, List, list, rendered,
};
use crate::{ApiError, args::args};

pub(crate) const METHODS: &[Method] = &[
    members::CLOSE
        .named("mpim.close", "mpim:write", Tier::Two)
        .shown_by(&[|| json!({ "channel": "G0THREE" }), || json!({ "channel": "G0THREE" })]),
    history::HISTORY
        .named("mpim.history", "mpim:history", Tier::Three)
        .shown_by(&[|| json!({ "channel": "G0THREE", "latest": "1700000000.000500" })]),
    Method {
        about: "Lists the caller's direct messages of more than two.",
        takes: takes!(List => every),
        answers: &[Key::always("groups", Shape::List, "The direct messages."), super::PAGE],
        errors: LIST_ERRORS,
        examples: &[|| json!({})],
        ..read::LIST.named("mpim.list", "mpim:read", Tier::Two)
    },
    read::MARK
        .named("mpim.mark", "mpim:write", Tier::Three)
        .shown_by(&[|| json!({ "channel": "G0THREE", "ts": "1700000000.000500" })]),
    Method {
        takes: takes!(Open => open),
        answers: &[
            Key::always("channel", Shape::Object, "The direct message's `id`."),
            Key::always("group", Shape::Object, "The direct message, with its members."),
        ],
        errors: OPEN_ERRORS,
        examples: &[|| json!({ "users": "U0BOB,U0CYD" })],
        ..members::OPEN.named("mpim.open", "mpim:write", Tier::Three)
    },
    history::REPLIES
        .named("mpim.replies", "mpim:history", Tier::Two)
        .shown_by(&[|| json!({ "channel": "G0THREE", "thread_ts": "1700000000.000500" })]),
];

async fn every(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "groups", args, |team, c| c.kind == ConversationKind::Mpim && team.is_member(user, c.conversation))
}

args! {
    struct Open {
        /// The others, at most 8.
        users: Vec<UserId>,
    }
}

async fn open(call: &Call<'_>, args: Open) -> Result<Reply, ApiError> {
    let (conversation, _) = members::opened(call, None, args.users).await?;
    let group = rendered(call, conversation, None).map_err(|_| ApiError::outcome_unknown())?;
    Ok(Reply::from(json!({ "channel": { "id": conversation }, "group": group })))
}
