//! `im.*`

use teamlog_schemas::ConversationKind;

use super::{
    super::{
        Call, Method, Reply,
        conversations::{change, read},
        rows,
    },
    list,
};
use crate::ApiError;

pub(in super::super) const METHODS: &[Method] = rows! {
    "im.close" "im:write" User Once change::close;
    "im.history" "im:history" User Repeatable read::history;
    "im.list" "im:read" User Repeatable every;
    "im.mark" "im:write" User Repeatable change::mark;
    "im.open" "im:write" User Once change::open;
    "im.replies" "im:history" User Repeatable read::replies;
};

/// `im.list`
async fn every(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "ims", |team, c| c.kind == ConversationKind::Im && team.is_member(user, c.conversation))
}
