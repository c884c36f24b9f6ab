//! `groups.*`: private channels.

use serde_json::json;
use teamlog_schemas::ConversationKind;

use super::{
    super::{
        Call, Key, Method, Reply, Shape, Tier,
        conversations::{
            change::{self, Purpose, Topic},
            history,
            members::{self, Invite},
            read,
        },
        takes,
    },
    Info, LIST_ERRORS, List, Name, PURPOSE, TOPIC, changed, list, set_purpose, set_topic, whole,
};
use crate::ApiError;

const GROUP: Key = Key::always("group", Shape::Object, "The private channel, with its members.");

pub(crate) const METHODS: &[Method] = &[
    change::ARCHIVE.named("groups.archive", "groups:write", Tier::Two).shown_by(&[|| json!({ "channel": "G0SECRET" })]),
    Method {
        about: "Makes a private channel, with the caller in it.",
        takes: takes!(Name => create),
        answers: &[GROUP],
        examples: &[|| json!({ "name": "secrets" })],
        ..change::CREATE.named("groups.create", "groups:write", Tier::Two)
    },
    history::HISTORY
        .named("groups.history", "groups:history", Tier::Two)
        .shown_by(&[|| json!({ "channel": "G0SECRET", "latest": "1700000000.000300" })]),
    Method {
        takes: takes!(Info => info),
        answers: &[GROUP],
        examples: &[|| json!({ "channel": "G0SECRET" })],
        ..read::INFO.named("groups.info", "groups:read", Tier::Three)
    },
    Method {
        takes: takes!(Invite => invite),
        answers: &[GROUP],
        examples: &[|| json!({ "channel": "G0SECRET", "user": "U0CYD" })],
        ..members::INVITE.named("groups.invite", "groups:write", Tier::Three)
    },
    members::KICK
        .named("groups.kick", "groups:write", Tier::Three)
        .shown_by(&[|| json!({ "channel": "G0SECRET", "user": "U0BOB" })]),
    members::LEAVE
        .named("groups.leave", "groups:write", Tier::Three)
        .shown_by(&[|| json!({ "channel": "G0SECRET" }), || json!({ "channel": "C0LOBBY" })]),
    Method {
        about: "Lists the caller's private channels.",
        takes: takes!(List => every),
        answers: &[Key::always("groups", Shape::List, "The private channels, with their members."), super::PAGE],
        errors: LIST_ERRORS,
        examples: &[|| json!({})],
        ..read::LIST.named("groups.list", "groups:read", Tier::Three)
    },
    read::MARK
        .named("groups.mark", "groups:write", Tier::Three)
        .shown_by(&[|| json!({ "channel": "G0SECRET", "ts": "1700000000.000300" })]),
    change::RENAME
        .named("groups.rename", "groups:write", Tier::Two)
        .shown_by(&[|| json!({ "channel": "G0SECRET", "name": "riddles" })]),
    history::REPLIES
        .named("groups.replies", "groups:history", Tier::Two)
        .shown_by(&[|| json!({ "channel": "G0SECRET", "thread_ts": "1700000000.000300" })]),
    Method {
        takes: takes!(Purpose => set_purpose),
        answers: &[PURPOSE],
        examples: &[|| json!({ "channel": "G0SECRET", "purpose": "To keep secrets" })],
        ..change::SET_PURPOSE.named("groups.setPurpose", "groups:write", Tier::Two)
    },
    Method {
        takes: takes!(Topic => set_topic),
        answers: &[TOPIC],
        examples: &[|| json!({ "channel": "G0SECRET", "topic": "Secrets" })],
        ..change::SET_TOPIC.named("groups.setTopic", "groups:write", Tier::Two)
    },
    change::UNARCHIVE.named("groups.unarchive", "groups:write", Tier::Two),
];

async fn create(call: &Call<'_>, args: Name) -> Result<Reply, ApiError> {
    let conversation = change::make(call, ConversationKind::PrivateChannel, &args.name, Vec::new()).await?;
    changed(call, "group", conversation).await
}

async fn info(call: &Call<'_>, args: Info) -> Result<Reply, ApiError> {
    whole(call, "group", args.channel).await
}

async fn invite(call: &Call<'_>, args: Invite) -> Result<Reply, ApiError> {
    let conversation = members::bring(call, args).await?;
    changed(call, "group", conversation).await
}

async fn every(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    let user = call.caller()?.user;
    list(call, "groups", args, |team, c| {
        c.kind == ConversationKind::PrivateChannel && team.is_member(user, c.conversation)
    })
}
