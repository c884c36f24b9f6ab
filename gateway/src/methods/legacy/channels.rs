//! `channels.*`

use serde_json::json;
use teamlog_schemas::{ConversationId, ConversationKind};

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
use crate::{ApiError, args::args};

const CHANNEL: Key = Key::always("channel", Shape::Object, "The channel, with its members.");

pub(crate) const METHODS: &[Method] = &[
    change::ARCHIVE.named("channels.archive", "channels:write", Tier::Two),
    Method {
        about: "Makes a public channel, with the caller in it.",
        takes: takes!(Name => create),
        answers: &[CHANNEL],
        examples: &[|| json!({ "name": "tea" })],
        ..change::CREATE.named("channels.create", "channels:write", Tier::Two)
    },
    history::HISTORY.named("channels.history", "channels:history", Tier::Two),
    Method {
        takes: takes!(Info => info),
        answers: &[CHANNEL],
        ..read::INFO.named("channels.info", "channels:read", Tier::Three)
    },
    Method {
        takes: takes!(Invite => invite),
        answers: &[CHANNEL],
        examples: &[|| json!({ "channel": "C0ENGINES", "user": "U0CYD" })],
        ..members::INVITE.named("channels.invite", "channels:write", Tier::Three)
    },
    Method {
        about: "Joins a public channel, by its name. Unlike Slack's it makes no channel.",
        takes: takes!(Join => join),
        answers: &[CHANNEL, Key::sometimes("already_in_channel", Shape::Flag, "True if the caller was in it.")],
        errors: &["no_channel", "method_not_supported_for_channel_type", "is_archived"],
        examples: &[|| json!({ "name": "lobby" }), || json!({ "channel": "C0LOBBY" })],
        ..members::JOIN.named("channels.join", "channels:write", Tier::Three)
    },
    members::KICK.named("channels.kick", "channels:write", Tier::Three),
    members::LEAVE.named("channels.leave", "channels:write", Tier::Three),
    Method {
        about: "Lists the public channels.",
        takes: takes!(List => every),
        answers: &[Key::always("channels", Shape::List, "The channels, with their members."), super::PAGE],
        errors: LIST_ERRORS,
        examples: &[|| json!({ "exclude_archived": true })],
        ..read::LIST.named("channels.list", "channels:read", Tier::Three)
    },
    read::MARK.named("channels.mark", "channels:write", Tier::Three),
    change::RENAME.named("channels.rename", "channels:write", Tier::Two),
    history::REPLIES.named("channels.replies", "channels:history", Tier::Three),
    Method {
        takes: takes!(Purpose => set_purpose),
        answers: &[PURPOSE],
        ..change::SET_PURPOSE.named("channels.setPurpose", "channels:write", Tier::Two)
    },
    Method {
        takes: takes!(Topic => set_topic),
        answers: &[TOPIC],
        ..change::SET_TOPIC.named("channels.setTopic", "channels:write", Tier::Two)
    },
    change::UNARCHIVE.named("channels.unarchive", "channels:write", Tier::Two),
];

async fn create(call: &Call<'_>, args: Name) -> Result<Reply, ApiError> {
    let conversation = change::make(call, ConversationKind::PublicChannel, &args.name, Vec::new()).await?;
    changed(call, "channel", conversation).await
}

async fn info(call: &Call<'_>, args: Info) -> Result<Reply, ApiError> {
    whole(call, "channel", args.channel).await
}

async fn invite(call: &Call<'_>, args: Invite) -> Result<Reply, ApiError> {
    let conversation = members::bring(call, args).await?;
    changed(call, "channel", conversation).await
}

args! {
    struct Join {
        /// The channel's name, with or without `#`.
        name: Option<String>,
        /// The channel; it goes before `name`.
        channel: Option<ConversationId>,
    }
}

async fn join(call: &Call<'_>, args: Join) -> Result<Reply, ApiError> {
    let conversation = match args.channel {
        Some(conversation) => conversation,
        None => {
            let name = args.name.ok_or(ApiError::refused("no_channel"))?;
            let caller = call.caller()?;
            let team = caller.team.read();
            let found = team.channel_named(name.strip_prefix('#').unwrap_or(&name));
            let found = found.filter(|c| team.may_read(caller.user, c.conversation));
            found.map(|c| c.conversation).ok_or(ApiError::refused("channel_not_found"))?
        }
    };
    let was_in = members::enter(call, conversation).await?;
    let reply = changed(call, "channel", conversation).await?;
    Ok(match reply {
        Reply::Object(mut object) if was_in => {
            object.insert("already_in_channel".to_owned(), json!(true));
            Reply::Object(object)
        }
        reply => reply,
    })
}

async fn every(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    list(call, "channels", args, |_, c| c.kind == ConversationKind::PublicChannel)
}
