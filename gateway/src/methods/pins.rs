//! `pins.*`

use serde_json::{Value, json};
use teamlog_ingest::commands;
use teamlog_schemas::{ConversationId, Ts};
use teamlog_state::{MessageFact, Pin};

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, chat::link_to, takes};
use crate::{ApiError, args::args, read, render};

pub(super) const METHODS: &[Method] = &[ADD, LIST, REMOVE];

args! {
    struct Item {
        /// The message's conversation.
        channel: ConversationId,
        /// The message's `ts`.
        timestamp: Ts [missing "no_item_specified", malformed "bad_timestamp"],
    }

    struct Of {
        /// The conversation.
        channel: ConversationId,
    }
}

const ADD: Method = Method {
    name: "pins.add",
    alias_of: None,
    about: "Pins a message to its conversation, which says so in a message of its own.",
    scope: "pins:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Item => add),
    answers: &[],
    errors: &["message_not_found", "not_in_channel", "is_archived", "already_pinned", "not_pinnable", "too_many_pins"],
    examples: &[|| json!({ "channel": "C0ENGINES", "timestamp": "1700000000.000200" })],
};

async fn add(call: &Call<'_>, Item { channel, timestamp }: Item) -> Result<Reply, ApiError> {
    call.make(commands::Pin { conversation: channel, ts: timestamp }).await?;
    Ok(Reply::empty())
}

const REMOVE: Method = Method {
    name: "pins.remove",
    alias_of: None,
    about: "Takes a message's pin away, whoever pinned it.",
    scope: "pins:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Two,
    takes: takes!(Item => remove),
    answers: &[],
    errors: &["message_not_found", "not_in_channel", "is_archived", "no_pin"],
    examples: &[|| json!({ "channel": "C0ENGINES", "timestamp": "1700000000.000100" })],
};

async fn remove(call: &Call<'_>, Item { channel, timestamp }: Item) -> Result<Reply, ApiError> {
    call.make(commands::Unpin { conversation: channel, ts: timestamp }).await?;
    Ok(Reply::empty())
}

const LIST: Method = Method {
    name: "pins.list",
    alias_of: None,
    about: "Lists the messages that are pinned to a conversation, the newest pin first.",
    scope: "pins:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Two,
    takes: takes!(Of => list),
    answers: &[Key::always(
        "items",
        Shape::List,
        "The pins: `type` (`message`), `channel`, `created`, `created_by`, and `message` as it is now, with `permalink`.",
    )],
    errors: &[],
    examples: &[|| json!({ "channel": "C0ENGINES" })],
};

async fn list(call: &Call<'_>, Of { channel }: Of) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let pinned = read::pinned(call.gateway, caller, channel).await?;
    let team = caller.team.read();
    let item = |(pin, fact): &(Pin, MessageFact)| {
        let mut message = render::message_fact(&team, channel, fact);
        message["permalink"] =
            json!(link_to(&call.gateway.config().public_url, channel, pin.ts, fact.message.thread_ts));
        json!({
            "type": "message", "channel": channel, "created": pin.at.seconds(), "created_by": pin.by,
            "message": message,
        })
    };
    let items: Vec<Value> = pinned.iter().map(item).collect();
    Ok(Reply::from(json!({ "items": items })))
}
