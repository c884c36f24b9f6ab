//! `conversations.*`: those that change who is in a conversation, or has it open.

use serde_json::{Map, json};
use teamlog_ingest::{Nothing, commands};
use teamlog_schemas::{ConversationId, ConversationKind, EventType, UserId};

use super::{
    Access, CHANNEL, Call, Channel, Key, Method, Reply, Retry, Shape, Tier, channel_object, channel_reply, takes,
};
use crate::{ApiError, args::args, error::Done, render};

pub(crate) const JOIN: Method = Method {
    name: "conversations.join",
    alias_of: None,
    about: "Joins a public channel.",
    scope: "channels:join",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Channel => join),
    answers: &[
        CHANNEL,
        Key::sometimes("warning", Shape::Text, "`already_in_channel` if the caller was in it."),
        Key::sometimes("response_metadata", Shape::Object, "`warnings`: the warning in a list."),
    ],
    errors: &["method_not_supported_for_channel_type", "is_archived"],
    examples: &[|| json!({ "channel": "C0LOBBY" }), || json!({ "channel": "C0LOBBY" })],
};

async fn join(call: &Call<'_>, args: Channel) -> Result<Reply, ApiError> {
    let was_in = enter(call, args.channel).await?;
    let mut reply = channel_object(call, args.channel)?;
    if was_in {
        reply.insert("warning".to_owned(), json!("already_in_channel"));
        reply.insert("response_metadata".to_owned(), json!({ "warnings": ["already_in_channel"] }));
    }
    Ok(reply.into())
}

/// Joins a channel; true if the caller was in it.
pub(crate) async fn enter(call: &Call<'_>, conversation: ConversationId) -> Result<bool, ApiError> {
    match call.write(commands::Join { conversation }).await? {
        Done::Made(_) => Ok(false),
        Done::Nothing(_) => Ok(true),
    }
}

pub(crate) const LEAVE: Method = Method {
    name: "conversations.leave",
    alias_of: None,
    about: "Leaves a channel.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Channel => leave),
    answers: &[Key::sometimes("not_in_channel", Shape::Flag, "True if the caller was not in it.")],
    errors: &["method_not_supported_for_channel_type", "is_archived", "cant_leave_general", "last_member"],
    examples: &[|| json!({ "channel": "C0ENGINES" }), || json!({ "channel": "C0ENGINES" })],
};

async fn leave(call: &Call<'_>, args: Channel) -> Result<Reply, ApiError> {
    Ok(match call.write(commands::Leave { conversation: args.channel }).await? {
        Done::Made(_) => Reply::empty(),
        Done::Nothing(_) => Reply::from(json!({ "not_in_channel": true })),
    })
}

pub(crate) const INVITE: Method = Method {
    name: "conversations.invite",
    alias_of: None,
    about: "Brings people into a channel.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Invite => invite),
    answers: &[CHANNEL],
    errors: &[
        "no_user",
        "method_not_supported_for_channel_type",
        "not_in_channel",
        "is_archived",
        "cant_invite_self",
        "already_in_channel",
        "too_many_users",
        "user_disabled",
    ],
    examples: &[|| json!({ "channel": "C0ENGINES", "users": "U0CYD" })],
};

args! {
    pub(crate) struct Invite {
        /// The channel.
        channel: ConversationId,
        /// The people.
        users: Vec<UserId>,
        /// The people, as old clients have it; `users` goes before.
        user: Vec<UserId>,
    }
}

async fn invite(call: &Call<'_>, args: Invite) -> Result<Reply, ApiError> {
    let conversation = bring(call, args).await?;
    channel_reply(call, conversation)
}

/// Brings people into a channel, and returns its id.
pub(crate) async fn bring(call: &Call<'_>, args: Invite) -> Result<ConversationId, ApiError> {
    let (conversation, users) = (args.channel, either(args.users, args.user));
    if users.is_empty() {
        return Err(ApiError::refused("no_user"));
    }
    call.make(commands::Invite { conversation, users }).await?;
    Ok(conversation)
}

fn either(users: Vec<UserId>, user: Vec<UserId>) -> Vec<UserId> {
    if users.is_empty() { user } else { users }
}

pub(crate) const KICK: Method = Method {
    name: "conversations.kick",
    alias_of: None,
    about: "Removes a person from a channel.",
    scope: "channels:manage",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Kick => kick),
    answers: &[],
    errors: &[
        "method_not_supported_for_channel_type",
        "not_in_channel",
        "is_archived",
        "cant_kick_self",
        "cant_kick_from_general",
        "restricted_action",
    ],
    examples: &[|| json!({ "channel": "C0ENGINES", "user": "U0BOB" })],
};

args! {
    struct Kick {
        /// The channel.
        channel: ConversationId,
        /// The person.
        user: UserId,
    }
}

async fn kick(call: &Call<'_>, args: Kick) -> Result<Reply, ApiError> {
    call.make(commands::Kick { conversation: args.channel, user: args.user }).await?;
    Ok(Reply::empty())
}

const ALREADY_OPEN: Key = Key::sometimes("already_open", Shape::Flag, "True if it was open.");
const NO_OP: Key = Key::sometimes("no_op", Shape::Flag, "True if there was nothing to do.");

pub(crate) const OPEN: Method = Method {
    name: "conversations.open",
    alias_of: None,
    about: "Opens a direct message, by its id or by its people.",
    scope: "im:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Open => open),
    answers: &[
        Key::always("channel", Shape::Object, "The direct message; one of two is its `id` alone without `return_im`."),
        ALREADY_OPEN,
        NO_OP,
    ],
    errors: OPEN_ERRORS,
    examples: &[|| json!({ "users": "U0CYD", "return_im": true }), || json!({ "channel": "D0BOB" })],
};

/// The errors of opening a direct message.
pub(crate) const OPEN_ERRORS: &[&str] =
    &["users_list_not_supplied", "too_many_users", "user_disabled", "method_not_supported_for_channel_type"];

args! {
    pub(crate) struct Open {
        /// The direct message.
        channel: Option<ConversationId>,
        /// The others, at most 8, where `channel` is left out.
        users: Vec<UserId>,
        /// The others, as old clients have it; `users` goes before.
        user: Vec<UserId>,
        /// True to get the direct message whole.
        return_im: bool,
    }
}

async fn open(call: &Call<'_>, args: Open) -> Result<Reply, ApiError> {
    let whole = args.return_im;
    let (conversation, was_open) = opened(call, args.channel, either(args.users, args.user)).await?;
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = team.conversation(conversation).ok_or(ApiError::outcome_unknown())?;
    // A group's direct message is given whole in any case, because the caller does not have its name yet.
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
pub(crate) async fn opened(
    call: &Call<'_>,
    conversation: Option<ConversationId>,
    users: Vec<UserId>,
) -> Result<(ConversationId, bool), ApiError> {
    match conversation {
        Some(conversation) => direct(call.write(commands::OpenConversation { conversation }).await?),
        None if users.is_empty() => Err(ApiError::refused("users_list_not_supplied")),
        None => direct(call.write(commands::OpenDirect { users }).await?),
    }
}

/// Returns the direct message that was opened. True if it was open.
pub(crate) fn direct<E: EventType>(done: Done<E>) -> Result<(ConversationId, bool), ApiError> {
    match done {
        Done::Nothing(Nothing::AlreadyOpen(conversation)) => Ok((conversation, true)),
        done => Ok((done.made()?.event().conversation().ok_or(ApiError::outcome_unknown())?, false)),
    }
}

pub(crate) const CLOSE: Method = Method {
    name: "conversations.close",
    alias_of: None,
    about: "Closes a direct message: it is not shown to the caller until something is posted there.",
    scope: "im:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Channel => close),
    answers: &[NO_OP, Key::sometimes("already_closed", Shape::Flag, "True if it was closed.")],
    errors: &["method_not_supported_for_channel_type"],
    examples: &[|| json!({ "channel": "D0BOB" }), || json!({ "channel": "D0BOB" })],
};

async fn close(call: &Call<'_>, args: Channel) -> Result<Reply, ApiError> {
    Ok(match call.write(commands::CloseDirect { conversation: args.channel }).await? {
        Done::Made(_) => Reply::empty(),
        Done::Nothing(_) => Reply::from(json!({ "no_op": true, "already_closed": true })),
    })
}
