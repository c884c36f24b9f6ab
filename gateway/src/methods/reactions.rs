//! `reactions.*`

use serde_json::{Value, json};
use teamlog_ingest::commands;
use teamlog_schemas::{ConversationId, Ts};

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, chat::link_to, takes};
use crate::{ApiError, args::args, read, render};

pub(super) const METHODS: &[Method] = &[ADD, GET, REMOVE];

args! {
    struct Reaction {
        /// The message's conversation.
        channel: ConversationId [missing "no_item_specified"],
        /// The message's `ts`.
        timestamp: Ts [missing "no_item_specified", malformed "bad_timestamp"],
        /// The emoji's name, with or without its colons; with a skin tone `wave::skin-tone-3`.
        name: String [missing "invalid_name"],
    }

    struct Item {
        /// The message's conversation.
        channel: ConversationId [missing "no_item_specified"],
        /// The message's `ts`.
        timestamp: Ts [missing "no_item_specified", malformed "bad_timestamp"],
    }
}

impl Reaction {
    /// The emoji's name without its colons; the pair before a skin tone stays.
    fn emoji(&self) -> String {
        self.name.trim_matches(':').to_owned()
    }
}

const ADD: Method = Method {
    name: "reactions.add",
    alias_of: None,
    about: "Adds a reaction of the caller's to a message.",
    scope: "reactions:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Reaction => add),
    answers: &[],
    errors: &[
        "message_not_found",
        "invalid_name",
        "already_reacted",
        "too_many_emoji",
        "is_archived",
        "not_in_channel",
    ],
    examples: &[|| json!({ "channel": "C0ENGINES", "timestamp": "1700000000.000100", "name": "wave" })],
};

async fn add(call: &Call<'_>, args: Reaction) -> Result<Reply, ApiError> {
    let (conversation, ts, name) = (args.channel, args.timestamp, args.emoji());
    call.make(commands::React { conversation, ts, name }).await?;
    Ok(Reply::empty())
}

const REMOVE: Method = Method {
    name: "reactions.remove",
    alias_of: None,
    about: "Takes a reaction of the caller's away.",
    scope: "reactions:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Reaction => remove),
    answers: &[],
    errors: &["message_not_found", "invalid_name", "no_reaction", "is_archived", "not_in_channel"],
    examples: &[|| json!({ "channel": "C0ENGINES", "timestamp": "1700000000.000100", "name": "tada" })],
};

async fn remove(call: &Call<'_>, args: Reaction) -> Result<Reply, ApiError> {
    let (conversation, ts, name) = (args.channel, args.timestamp, args.emoji());
    call.make(commands::Unreact { conversation, ts, name }).await?;
    Ok(Reply::empty())
}

const GET: Method = Method {
    name: "reactions.get",
    alias_of: None,
    about: "Gives a message with its reactions.",
    scope: "reactions:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(Item => get),
    answers: &[
        Key::always("type", Shape::Text, "`message`."),
        Key::always("channel", Shape::Text, "The conversation."),
        Key::always("message", Shape::Object, "The message, with `reactions` and `permalink`."),
    ],
    errors: &["message_not_found"],
    examples: &[|| json!({ "channel": "C0ENGINES", "timestamp": "1700000000.000100" })],
};

async fn get(call: &Call<'_>, args: Item) -> Result<Reply, ApiError> {
    let (conversation, ts) = (args.channel, args.timestamp);
    let caller = call.caller()?;
    let found = read::message(call.gateway, caller, conversation, ts).await?;
    let fact = found.filter(|fact| !fact.tombstone).ok_or(ApiError::refused("message_not_found"))?;
    let mut message = render::message_fact(&caller.team.read(), conversation, &fact);
    if let Value::Object(object) = &mut message {
        object.entry("reactions").or_insert_with(|| json!([]));
        let link = link_to(&call.gateway.config().public_url, conversation, ts, fact.message.thread_ts);
        object.insert("permalink".to_owned(), json!(link));
    }
    Ok(Reply::from(json!({ "type": "message", "channel": conversation, "message": message })))
}
