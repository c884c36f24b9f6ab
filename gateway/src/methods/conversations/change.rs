//! `conversations.*`: those that change something.

use serde_json::{Map, Value, json};
use teamlog_ingest::{
    Nothing,
    commands::{
        Archive, CloseDirect, CreateConversation, Invite, Join, Kick, Leave, OpenConversation, OpenDirect, Rename,
        SetPurpose, SetTopic, Unarchive,
    },
};
use teamlog_schemas::{ConversationId, ConversationKind, EventType, UserId};

use super::super::{Call, Reply};
use crate::{ApiError, error::Done, read, realtime::Mark, render};

/// `conversations.create`
pub(in super::super) async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let private = call.args.flag("is_private")?.unwrap_or(false);
    let kind = if private { ConversationKind::PrivateChannel } else { ConversationKind::PublicChannel };
    let conversation = begin(call, kind).await?;
    channel_reply(call, conversation)
}

/// Makes a channel, and says which.
pub(in super::super) async fn begin(call: &Call<'_>, kind: ConversationKind) -> Result<ConversationId, ApiError> {
    let name = call.args.text("name")?.unwrap_or_default();
    let new = CreateConversation {
        conversation: None,
        kind,
        name: Some(name.strip_prefix('#').unwrap_or(&name).to_owned()),
        members: call.args.ids("user_ids", "user_not_found")?,
        imported: None,
    };
    Ok(call.write(new).await?.made()?.conversation)
}

/// `conversations.join`
pub(in super::super) async fn join(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let was_in = enter(call, conversation).await?;
    let mut reply = channel(call, conversation)?;
    if was_in {
        reply.insert("warning".to_owned(), json!("already_in_channel"));
        reply.insert("response_metadata".to_owned(), json!({ "warnings": ["already_in_channel"] }));
    }
    Ok(reply.into())
}

/// Joins a channel; true if the caller was in it.
pub(in super::super) async fn enter(call: &Call<'_>, conversation: ConversationId) -> Result<bool, ApiError> {
    match call.write(Join { conversation }).await? {
        Done::Made(_) => Ok(false),
        Done::Nothing(_) => Ok(true),
    }
}

/// `conversations.leave`
pub(in super::super) async fn leave(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    Ok(match call.write(Leave { conversation }).await? {
        Done::Made(_) => Reply::empty(),
        Done::Nothing(_) => Reply::from(json!({ "not_in_channel": true })),
    })
}

/// `conversations.invite`
pub(in super::super) async fn invite(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = bring(call).await?;
    channel_reply(call, conversation)
}

/// Brings the people of an invitation in, and says where to.
pub(in super::super) async fn bring(call: &Call<'_>) -> Result<ConversationId, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let users = people(call)?;
    if users.is_empty() {
        return Err(ApiError::refused("no_user"));
    }
    call.make(Invite { conversation, users }).await?;
    Ok(conversation)
}

/// `conversations.kick`
pub(in super::super) async fn kick(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let user = call.args.user("user")?;
    call.make(Kick { conversation, user }).await?;
    Ok(Reply::empty())
}

/// `conversations.open`
pub(in super::super) async fn open(call: &Call<'_>) -> Result<Reply, ApiError> {
    // Before anything is done: a bad argument is refused, and what is refused was not done.
    let whole = call.args.flag("return_im")?.unwrap_or(false);
    let (conversation, was_open) = opened(call).await?;
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = team.conversation(conversation).ok_or(ApiError::outcome_unknown())?;
    // A group's direct message is given whole in any case: its name is not in the caller's hands yet.
    let channel = if whole || found.kind != ConversationKind::Im {
        render::conversation(&team, found, caller.user, None)
    } else {
        json!({ "id": conversation })
    };
    let mut reply = Map::new();
    if was_open {
        reply.insert("no_op".to_owned(), json!(true));
        reply.insert("already_open".to_owned(), json!(true));
    }
    reply.insert("channel".to_owned(), channel);
    Ok(reply.into())
}

/// Opens a direct message, by its id or its people. True if it was open.
pub(in super::super) async fn opened(call: &Call<'_>) -> Result<(ConversationId, bool), ApiError> {
    if call.args.filled("channel")?.is_some() {
        let conversation = call.args.conversation("channel")?;
        return direct(call.write(OpenConversation { conversation }).await?);
    }
    let users = people(call)?;
    if users.is_empty() {
        return Err(ApiError::refused("users_list_not_supplied"));
    }
    direct(call.write(OpenDirect { users }).await?)
}

/// Returns the direct message that was opened. True if it was open.
pub(in super::super) fn direct<E: EventType>(done: Done<E>) -> Result<(ConversationId, bool), ApiError> {
    match done {
        Done::Nothing(Nothing::AlreadyOpen(conversation)) => Ok((conversation, true)),
        done => Ok((done.made()?.event().conversation().ok_or(ApiError::outcome_unknown())?, false)),
    }
}

/// `conversations.close`
pub(in super::super) async fn close(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    Ok(match call.write(CloseDirect { conversation }).await? {
        Done::Made(_) => Reply::empty(),
        Done::Nothing(_) => Reply::from(json!({ "no_op": true, "already_closed": true })),
    })
}

/// `conversations.mark`
pub(in super::super) async fn mark(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let caller = call.caller()?;
    {
        let team = caller.team.read();
        if !team.may_read(caller.user, conversation) {
            return Err(ApiError::refused("channel_not_found"));
        }
        if !team.is_member(caller.user, conversation) {
            return Err(ApiError::refused("not_in_channel"));
        }
    }
    let invalid = || ApiError::refused("invalid_timestamp");
    let ts = call.args.time("ts", "invalid_timestamp")?.ok_or_else(invalid)?;
    call.gateway.ingest().marks().mark(caller.team.id(), caller.user, conversation, ts).await?;
    // The mark is taken; that the sessions hear the numbers too is a courtesy that a shard may not be able to pay.
    let counts = read::unread(call.gateway, caller, &[(conversation, ts)])
        .await
        .ok()
        .and_then(|counts| counts.into_iter().next());
    let (unread, mentions) = counts.map_or((0, 0), |counts| (counts.count, counts.mentions));
    call.gateway.realtime().marked(
        call.gateway,
        caller.team.id(),
        caller.user,
        Mark { conversation, ts, unread, mentions },
    );
    Ok(Reply::empty())
}

/// `conversations.rename`
pub(in super::super) async fn rename(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let name = call.args.text("name")?.unwrap_or_default().into_owned();
    call.make(Rename { conversation, name }).await?;
    channel_reply(call, conversation)
}

/// `conversations.setTopic`
pub(in super::super) async fn set_topic(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let topic = call.args.text("topic")?.unwrap_or_default().into_owned();
    call.make(SetTopic { conversation, topic }).await?;
    channel_reply(call, conversation)
}

/// `conversations.setPurpose`
pub(in super::super) async fn set_purpose(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let purpose = call.args.text("purpose")?.unwrap_or_default().into_owned();
    call.make(SetPurpose { conversation, purpose }).await?;
    channel_reply(call, conversation)
}

/// `conversations.archive`
pub(in super::super) async fn archive(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.make(Archive { conversation: call.args.conversation("channel")? }).await?;
    Ok(Reply::empty())
}

/// `conversations.unarchive`
pub(in super::super) async fn unarchive(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.make(Unarchive { conversation: call.args.conversation("channel")? }).await?;
    Ok(Reply::empty())
}

/// The people of `users`, or of the old methods' `user`.
fn people(call: &Call<'_>) -> Result<Vec<UserId>, ApiError> {
    let users: Vec<UserId> = call.args.ids("users", "user_not_found")?;
    if users.is_empty() { call.args.ids("user", "user_not_found") } else { Ok(users) }
}

fn channel_reply(call: &Call<'_>, conversation: ConversationId) -> Result<Reply, ApiError> {
    Ok(channel(call, conversation)?.into())
}

/// A conversation that the caller just did something to, as they see it now.
fn channel(call: &Call<'_>, conversation: ConversationId) -> Result<Map<String, Value>, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = team.conversation(conversation).ok_or(ApiError::outcome_unknown())?;
    Ok(Map::from_iter([("channel".to_owned(), render::conversation(&team, found, caller.user, None))]))
}
