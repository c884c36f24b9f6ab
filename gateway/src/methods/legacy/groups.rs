//! `groups.*`

use teamlog_schemas::ConversationKind;

use super::{
    super::{
        Call, Method, Reply,
        conversations::{change, read},
        rows,
    },
    changed, list, set_purpose, set_topic, whole,
};
use crate::ApiError;

pub(in super::super) const METHODS: &[Method] = rows! {
    "groups.archive" "groups:write" User Once change::archive;
    "groups.create" "groups:write" User Once create;
    "groups.history" "groups:history" User Repeatable read::history;
    "groups.info" "groups:read" User Repeatable info;
    "groups.invite" "groups:write" User Once invite;
    "groups.kick" "groups:write" User Once change::kick;
    "groups.leave" "groups:write" User Once change::leave;
    "groups.list" "groups:read" User Repeatable every;
    "groups.mark" "groups:write" User Repeatable change::mark;
    "groups.rename" "groups:write" User Once change::rename;
    "groups.replies" "groups:history" User Repeatable read::replies;
    "groups.setPurpose" "groups:write" User Once set_purpose;
    "groups.setTopic" "groups:write" User Once set_topic;
    "groups.unarchive" "groups:write" User Once change::unarchive;
};

/// `groups.create`
async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = change::begin(call, ConversationKind::PrivateChannel).await?;
    changed(call, "group", conversation).await
}

/// `groups.info`
async fn info(call: &Call<'_>) -> Result<Reply, ApiError> {
    whole(call, "group", call.args.conversation("channel")?).await
}

/// `groups.invite`
async fn invite(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = change::bring(call).await?;
    changed(call, "group", conversation).await
}

/// `groups.list`
async fn every(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "groups", |team, c| c.kind == ConversationKind::PrivateChannel && team.is_member(user, c.conversation))
}
