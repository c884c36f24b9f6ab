//! `channels.*`

use serde_json::json;
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
    "channels.archive" "channels:write" User Once change::archive;
    "channels.create" "channels:write" User Once create;
    "channels.history" "channels:history" User Repeatable read::history;
    "channels.info" "channels:read" User Repeatable info;
    "channels.invite" "channels:write" User Once invite;
    "channels.join" "channels:write" User Once join;
    "channels.kick" "channels:write" User Once change::kick;
    "channels.leave" "channels:write" User Once change::leave;
    "channels.list" "channels:read" User Repeatable every;
    "channels.mark" "channels:write" User Repeatable change::mark;
    "channels.rename" "channels:write" User Once change::rename;
    "channels.replies" "channels:history" User Repeatable read::replies;
    "channels.setPurpose" "channels:write" User Once set_purpose;
    "channels.setTopic" "channels:write" User Once set_topic;
    "channels.unarchive" "channels:write" User Once change::unarchive;
};

/// `channels.create`
async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = change::begin(call, ConversationKind::PublicChannel).await?;
    changed(call, "channel", conversation).await
}

/// `channels.info`
async fn info(call: &Call<'_>) -> Result<Reply, ApiError> {
    whole(call, "channel", call.args.conversation("channel")?).await
}

/// `channels.invite`
async fn invite(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = change::bring(call).await?;
    changed(call, "channel", conversation).await
}

/// `channels.join`: by name. Unlike the old method it makes no channel.
async fn join(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = if call.args.filled("channel")?.is_some() {
        call.args.conversation("channel")?
    } else {
        let name = call.args.required("name", "no_channel")?;
        let caller = call.caller()?;
        let team = caller.team.read();
        let found = team.channel_named(name.strip_prefix('#').unwrap_or(&name));
        let found = found.filter(|c| team.may_read(caller.user, c.conversation));
        found.map(|c| c.conversation).ok_or(ApiError::refused("channel_not_found"))?
    };
    let was_in = change::enter(call, conversation).await?;
    let reply = changed(call, "channel", conversation).await?;
    Ok(match reply {
        Reply::Object(mut object) if was_in => {
            object.insert("already_in_channel".to_owned(), json!(true));
            Reply::Object(object)
        }
        reply => reply,
    })
}

/// `channels.list`
async fn every(call: &Call<'_>) -> Result<Reply, ApiError> {
    list(call, "channels", |_, c| c.kind == ConversationKind::PublicChannel)
}
