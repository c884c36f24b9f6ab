//! `channels.*`, `groups.*`, `im.*` and `mpim.*`: the old names, and what of their answers differs from those of
//! `conversations.*`.

pub(super) mod channels;
pub(super) mod groups;
pub(super) mod im;
pub(super) mod mpim;

use serde_json::{Map, Value, json};
use teamlog_ingest::commands;
use teamlog_schemas::{ConversationId, ConversationKind};
use teamlog_state::{Conversation, Team};

use super::{
    Call, Key, Reply, Shape,
    conversations::{
        change::{Purpose, Topic},
        read::{self, Paged},
    },
    paging::{Conversations, Cursor, PAGE},
};
use crate::{
    ApiError,
    args::{Limit, args},
    limits, render,
};

args! {
    struct Name {
        /// The channel's name, with or without `#`: lower case letters, digits, `-` and `_`, at most 80 characters.
        name: String [missing "invalid_name_required"],
    }

    struct Info {
        /// The channel.
        channel: ConversationId,
    }

    struct List {
        /// The size of a page; all if it is left out. A team of more than 5,000 conversations is not listed without it.
        limit: Option<Limit>,
        /// True to leave out what is in the archive.
        exclude_archived: bool,
        /// True to leave out the members.
        exclude_members: bool,
        /// The page's place.
        cursor: Option<Cursor<Conversations>>,
    }
}

/// The errors of a list that is given whole.
const LIST_ERRORS: &[&str] = &["limit_required"];

const TOPIC: Key = Key::always("topic", Shape::Text, "The topic.");
const PURPOSE: Key = Key::always("purpose", Shape::Text, "The purpose.");

/// Sets a topic and answers with it alone.
async fn set_topic(call: &Call<'_>, args: Topic) -> Result<Reply, ApiError> {
    let topic = args.topic.unwrap_or_default();
    call.make(commands::SetTopic { conversation: args.channel, topic: topic.clone() }).await?;
    Ok(Reply::from(json!({ "topic": topic })))
}

/// Sets a purpose and answers with it alone.
async fn set_purpose(call: &Call<'_>, args: Purpose) -> Result<Reply, ApiError> {
    let purpose = args.purpose.unwrap_or_default();
    call.make(commands::SetPurpose { conversation: args.channel, purpose: purpose.clone() }).await?;
    Ok(Reply::from(json!({ "purpose": purpose })))
}

/// Answers with a list that old clients expect whole, unless they name a limit.
fn list(
    call: &Call<'_>,
    key: &str,
    args: List,
    wanted: impl Fn(&Team, &Conversation) -> bool,
) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let user = caller.user;
    let limit = match args.limit {
        Some(Limit(limit)) => limit,
        None if caller.team.read().conversations_len() > limits::WHOLE_LIST_MAX => {
            return Err(ApiError::refused("limit_required"));
        }
        None => limits::WHOLE_LIST_MAX,
    };
    let members = if args.exclude_members { 0 } else { limits::LEGACY_MEMBERS_MAX };
    let page = Paged { limit, exclude_archived: args.exclude_archived, cursor: args.cursor };
    page.reply(call, key, wanted, |team, c| {
        let rendered = render::legacy_conversation(team, c, user, None, members);
        as_old(rendered, c.kind)
    })
}

/// Answers with a conversation, its members, and what the caller has read of it.
async fn whole(call: &Call<'_>, key: &str, conversation: ConversationId) -> Result<Reply, ApiError> {
    let reader = read::reader(call, conversation).await?;
    let rendered = rendered(call, conversation, reader.as_ref())?;
    Ok(Map::from_iter([(key.to_owned(), rendered)]).into())
}

/// Answers with a conversation that this call has changed. The change is done, so counts that cannot be had now are left
/// out, and a conversation that is not in view is an unknown outcome: neither may read as if nothing had happened.
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

/// Old clients know a private channel as a group.
fn as_old(mut rendered: Value, kind: ConversationKind) -> Value {
    if matches!(kind, ConversationKind::PrivateChannel | ConversationKind::Mpim) {
        rendered["is_group"] = json!(true);
        rendered["is_channel"] = json!(false);
    }
    rendered
}
