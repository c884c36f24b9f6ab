//! `mpim.*`

use serde_json::json;
use teamlog_schemas::ConversationKind;

use super::{
    super::{
        Call, Method, Reply,
        conversations::{change, read},
        rows,
    },
    list, rendered,
};
use crate::ApiError;

pub(in super::super) const METHODS: &[Method] = rows! {
    "mpim.close" "mpim:write" User Once change::close;
    "mpim.history" "mpim:history" User Repeatable read::history;
    "mpim.list" "mpim:read" User Repeatable every;
    "mpim.mark" "mpim:write" User Repeatable change::mark;
    "mpim.open" "mpim:write" User Once open;
    "mpim.replies" "mpim:history" User Repeatable read::replies;
};

/// `mpim.list`
async fn every(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "groups", |team, c| c.kind == ConversationKind::Mpim && team.is_member(user, c.conversation))
}

/// `mpim.open`
async fn open(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (conversation, _) = change::opened(call).await?;
    let group = rendered(call, conversation, None).map_err(|_| ApiError::outcome_unknown())?;
    Ok(Reply::from(json!({ "channel": { "id": conversation }, "group": group })))
}
