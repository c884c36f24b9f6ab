//! `channels.*`, `groups.*`, `im.*` and `mpim.*`, where their answers differ from those of `conversations.*`.

use serde_json::{Map, Value, json};
use teamlog_ingest::Command;
use teamlog_schemas::{ConversationId, ConversationKind};
use teamlog_state::{Conversation, Team};

use super::{Call, Reply, conversations, listing};
use crate::{ApiError, limits, render};

/// `channels.create`
pub(super) async fn channel_create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = conversations::begin(call, ConversationKind::PublicChannel).await?;
    changed(call, "channel", conversation).await
}

/// `groups.create`
pub(super) async fn group_create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = conversations::begin(call, ConversationKind::PrivateChannel).await?;
    changed(call, "group", conversation).await
}

/// `channels.info`
pub(super) async fn channel_info(call: &Call<'_>) -> Result<Reply, ApiError> {
    whole(call, "channel", call.args.conversation("channel")?).await
}

/// `groups.info`
pub(super) async fn group_info(call: &Call<'_>) -> Result<Reply, ApiError> {
    whole(call, "group", call.args.conversation("channel")?).await
}

/// `channels.invite`
pub(super) async fn channel_invite(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = conversations::bring(call).await?;
    changed(call, "channel", conversation).await
}

/// `groups.invite`
pub(super) async fn group_invite(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = conversations::bring(call).await?;
    changed(call, "group", conversation).await
}

/// `channels.join`: by name. Unlike the old method it makes no channel.
pub(super) async fn channel_join(call: &Call<'_>) -> Result<Reply, ApiError> {
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
    let was_in = conversations::enter(call, conversation).await?;
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
pub(super) async fn channels(call: &Call<'_>) -> Result<Reply, ApiError> {
    list(call, "channels", |_, c| c.kind == ConversationKind::PublicChannel)
}

/// `groups.list`
pub(super) async fn groups(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "groups", |team, c| c.kind == ConversationKind::PrivateChannel && team.is_member(user, c.conversation))
}

/// `im.list`
pub(super) async fn ims(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "ims", |team, c| c.kind == ConversationKind::Im && team.is_member(user, c.conversation))
}

/// `mpim.list`
pub(super) async fn mpims(call: &Call<'_>) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "groups", |team, c| c.kind == ConversationKind::Mpim && team.is_member(user, c.conversation))
}

/// `mpim.open`
pub(super) async fn mpim_open(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (conversation, _) = conversations::opened(call).await?;
    let group = rendered(call, conversation, None).map_err(|_| ApiError::outcome_unknown())?;
    Ok(Reply::from(json!({ "channel": { "id": conversation }, "group": group })))
}

/// `channels.setTopic`, `groups.setTopic`
pub(super) async fn set_topic(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let topic = call.args.text("topic")?.unwrap_or_default().into_owned();
    call.write(Command::SetTopic { conversation, topic: topic.clone() }).await?;
    Ok(Reply::from(json!({ "topic": topic })))
}

/// `channels.setPurpose`, `groups.setPurpose`
pub(super) async fn set_purpose(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let purpose = call.args.text("purpose")?.unwrap_or_default().into_owned();
    call.write(Command::SetPurpose { conversation, purpose: purpose.clone() }).await?;
    Ok(Reply::from(json!({ "purpose": purpose })))
}

/// A list that old clients expect whole, unless they name a limit.
fn list(call: &Call<'_>, key: &str, wanted: impl Fn(&Team, &Conversation) -> bool) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let user = caller.user;
    let limit = match call.args.limit("limit")? {
        Some(limit) => limit,
        None if caller.team.read().conversations_len() > limits::WHOLE_LIST_MAX => {
            return Err(ApiError::refused("limit_required"));
        }
        None => limits::WHOLE_LIST_MAX,
    };
    let members = if call.args.flag("exclude_members")?.unwrap_or(false) { 0 } else { limits::LEGACY_MEMBERS_MAX };
    listing::page(call, key, limit, wanted, |team, c| {
        let rendered = render::legacy_conversation(team, c, user, None, members);
        as_old(rendered, c.kind)
    })
}

/// A conversation with its members and what the caller has read of it.
async fn whole(call: &Call<'_>, key: &str, conversation: ConversationId) -> Result<Reply, ApiError> {
    let reader = listing::reader(call, conversation).await?;
    let rendered = rendered(call, conversation, reader.as_ref())?;
    Ok(Map::from_iter([(key.to_owned(), rendered)]).into())
}

/// The same, of one that this call has changed. That is done, so what cannot be counted now is left out, and what is not in
/// view is an unknown outcome: neither may read as if nothing had happened.
async fn changed(call: &Call<'_>, key: &str, conversation: ConversationId) -> Result<Reply, ApiError> {
    let reader = listing::reader(call, conversation).await.unwrap_or_default();
    let rendered = rendered(call, conversation, reader.as_ref()).map_err(|_| ApiError::outcome_unknown())?;
    Ok(Map::from_iter([(key.to_owned(), rendered)]).into())
}

fn rendered(call: &Call<'_>, conversation: ConversationId, reader: Option<&render::Reader>) -> Result<Value, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = listing::visible(&team, caller.user, conversation)?;
    let rendered = render::legacy_conversation(&team, found, caller.user, reader, limits::LEGACY_MEMBERS_MAX);
    Ok(as_old(rendered, found.kind))
}

/// What is a private channel now was a group.
fn as_old(mut rendered: Value, kind: ConversationKind) -> Value {
    if matches!(kind, ConversationKind::PrivateChannel | ConversationKind::Mpim) {
        rendered["is_group"] = json!(true);
        rendered["is_channel"] = json!(false);
    }
    rendered
}
