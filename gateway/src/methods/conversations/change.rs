//! `conversations.*`: those that change a channel.

use serde_json::json;
use teamlog_ingest::commands;
use teamlog_schemas::{ConversationId, ConversationKind, UserId};

use super::{Access, CHANNEL, Call, Channel, Method, Reply, Retry, Tier, channel_reply, takes};
use crate::{ApiError, args::args};

pub(crate) const CREATE: Method = Method {
    name: "conversations.create",
    alias_of: None,
    about: "Makes a channel, with the caller in it.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Create => create),
    answers: &[CHANNEL],
    errors: &[
        "name_taken",
        "invalid_name_maxlength",
        "invalid_name_specials",
        "invalid_name_punctuation",
        "too_many_users",
        "user_disabled",
    ],
    examples: &[
        || json!({ "name": "tea" }),
        || json!({ "name": "secrets", "is_private": true, "user_ids": "U0BOB,U0CYD" }),
    ],
};

args! {
    struct Create {
        /// The channel's name, with or without `#`: lower case letters, digits, `-` and `_`, at most 80 characters.
        name: String [missing "invalid_name_required"],
        /// True for a private channel.
        is_private: bool,
        /// More people who are in it from the beginning.
        user_ids: Vec<UserId>,
    }
}

async fn create(call: &Call<'_>, args: Create) -> Result<Reply, ApiError> {
    let kind = if args.is_private { ConversationKind::PrivateChannel } else { ConversationKind::PublicChannel };
    let conversation = make(call, kind, &args.name, args.user_ids).await?;
    channel_reply(call, conversation)
}

/// Makes a channel and returns its id.
pub(crate) async fn make(
    call: &Call<'_>,
    kind: ConversationKind,
    name: &str,
    members: Vec<UserId>,
) -> Result<ConversationId, ApiError> {
    let name = Some(name.strip_prefix('#').unwrap_or(name).to_owned());
    let new = commands::CreateConversation { conversation: None, kind, name, members, imported: None };
    Ok(call.write(new).await?.made()?.conversation)
}

pub(crate) const RENAME: Method = Method {
    name: "conversations.rename",
    alias_of: None,
    about: "Gives a channel another name.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Rename => rename),
    answers: &[CHANNEL],
    errors: &[
        "method_not_supported_for_channel_type",
        "not_in_channel",
        "is_archived",
        "not_authorized",
        "name_taken",
        "invalid_name_maxlength",
        "invalid_name_specials",
        "invalid_name_punctuation",
    ],
    examples: &[|| json!({ "channel": "C0ENGINES", "name": "machines" })],
};

args! {
    struct Rename {
        /// The channel.
        channel: ConversationId,
        /// Its new name, as `conversations.create` has it.
        name: String [missing "invalid_name_required"],
    }
}

async fn rename(call: &Call<'_>, args: Rename) -> Result<Reply, ApiError> {
    call.make(commands::Rename { conversation: args.channel, name: args.name }).await?;
    channel_reply(call, args.channel)
}

pub(crate) const SET_TOPIC: Method = Method {
    name: "conversations.setTopic",
    alias_of: None,
    about: "Sets a channel's topic.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Topic => set_topic),
    answers: &[CHANNEL],
    errors: HEADLINE_ERRORS,
    examples: &[|| json!({ "channel": "C0ENGINES", "topic": "All about engines" })],
};

/// The errors of a new topic or purpose.
pub(crate) const HEADLINE_ERRORS: &[&str] =
    &["method_not_supported_for_channel_type", "not_in_channel", "is_archived", "too_long"];

args! {
    pub(crate) struct Topic {
        /// The channel.
        channel: ConversationId,
        /// The topic, at most 250 characters. Without one the channel has none.
        topic: Option<String>,
    }

    pub(crate) struct Purpose {
        /// The channel.
        channel: ConversationId,
        /// The purpose, at most 250 characters. Without one the channel has none.
        purpose: Option<String>,
    }
}

async fn set_topic(call: &Call<'_>, args: Topic) -> Result<Reply, ApiError> {
    let topic = args.topic.unwrap_or_default();
    call.make(commands::SetTopic { conversation: args.channel, topic }).await?;
    channel_reply(call, args.channel)
}

pub(crate) const SET_PURPOSE: Method = Method {
    name: "conversations.setPurpose",
    alias_of: None,
    about: "Sets a channel's purpose.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Purpose => set_purpose),
    answers: &[CHANNEL],
    errors: HEADLINE_ERRORS,
    examples: &[|| json!({ "channel": "C0ENGINES", "purpose": "To talk about engines" })],
};

async fn set_purpose(call: &Call<'_>, args: Purpose) -> Result<Reply, ApiError> {
    let purpose = args.purpose.unwrap_or_default();
    call.make(commands::SetPurpose { conversation: args.channel, purpose }).await?;
    channel_reply(call, args.channel)
}

pub(crate) const ARCHIVE: Method = Method {
    name: "conversations.archive",
    alias_of: None,
    about: "Puts a channel into the archive: it can be read, and nothing can be posted.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Channel => archive),
    answers: &[],
    errors: &["method_not_supported_for_channel_type", "already_archived", "cant_archive_general", "not_in_channel"],
    examples: &[|| json!({ "channel": "C0ENGINES" })],
};

async fn archive(call: &Call<'_>, args: Channel) -> Result<Reply, ApiError> {
    call.make(commands::Archive { conversation: args.channel }).await?;
    Ok(Reply::empty())
}

pub(crate) const UNARCHIVE: Method = Method {
    name: "conversations.unarchive",
    alias_of: None,
    about: "Takes a channel out of the archive.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Channel => unarchive),
    answers: &[],
    errors: &["method_not_supported_for_channel_type", "not_archived"],
    examples: &[|| json!({ "channel": "C0ATTIC" })],
};

async fn unarchive(call: &Call<'_>, args: Channel) -> Result<Reply, ApiError> {
    call.make(commands::Unarchive { conversation: args.channel }).await?;
    Ok(Reply::empty())
}
