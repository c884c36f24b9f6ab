//! `channels.*`, `groups.*`, `im.*` and `mpim.*`: the old names, and what of their answers differs from those of
//! `conversations.*`.

pub(super) mod channels;
pub(super) mod groups;
pub(super) mod im;
pub(super) mod mpim;

use serde_json::{Map, Value, json};
use teamlog_ingest::commands::{SetPurpose, SetTopic};
use teamlog_schemas::{ConversationId, ConversationKind};
use teamlog_state::{Conversation, Team};

use super::{Call, Reply, conversations::read};
use crate::{ApiError, limits, render};

/// `channels.setTopic`, `groups.setTopic`
async fn set_topic(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let topic = call.args.text("topic")?.unwrap_or_default().into_owned();
    call.make(SetTopic { conversation, topic: topic.clone() }).await?;
    Ok(Reply::from(json!({ "topic": topic })))
}

/// `channels.setPurpose`, `groups.setPurpose`
async fn set_purpose(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let purpose = call.args.text("purpose")?.unwrap_or_default().into_owned();
    call.make(SetPurpose { conversation, purpose: purpose.clone() }).await?;
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
    read::page(call, key, limit, wanted, |team, c| {
        let rendered = render::legacy_conversation(team, c, user, None, members);
        as_old(rendered, c.kind)
    })
}

/// A conversation with its members and what the caller has read of it.
async fn whole(call: &Call<'_>, key: &str, conversation: ConversationId) -> Result<Reply, ApiError> {
    let reader = read::reader(call, conversation).await?;
    let rendered = rendered(call, conversation, reader.as_ref())?;
    Ok(Map::from_iter([(key.to_owned(), rendered)]).into())
}

/// The same, of one that this call has changed. That is done, so what cannot be counted now is left out, and what is not in
/// view is an unknown outcome: neither may read as if nothing had happened.
async fn changed(call: &Call<'_>, key: &str, conversation: ConversationId) -> Result<Reply, ApiError> {
    let reader = read::reader(call, conversation).await.unwrap_or_default();
    let rendered = rendered(call, conversation, reader.as_ref()).map_err(|_| ApiError::outcome_unknown())?;
    Ok(Map::from_iter([(key.to_owned(), rendered)]).into())
}

fn rendered(call: &Call<'_>, conversation: ConversationId, reader: Option<&render::Reader>) -> Result<Value, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = read::visible(&team, caller.user, conversation)?;
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
