//! `reactions.*`

use serde_json::{Value, json};
use teamlog_ingest::commands::{React, Unreact};
use teamlog_schemas::{ConversationId, Ts};

use super::{Call, Method, Reply, chat::link_to, rows};
use crate::{ApiError, read, render};

pub(super) const METHODS: &[Method] = rows! {
    "reactions.add" "reactions:write" User Once add;
    "reactions.get" "reactions:read" User Repeatable get;
    "reactions.remove" "reactions:write" User Once remove;
};

/// `reactions.add`
async fn add(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (conversation, ts) = item(call)?;
    call.make(React { conversation, ts, name: emoji(call)? }).await?;
    Ok(Reply::empty())
}

/// `reactions.remove`
async fn remove(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (conversation, ts) = item(call)?;
    call.make(Unreact { conversation, ts, name: emoji(call)? }).await?;
    Ok(Reply::empty())
}

/// `reactions.get`
async fn get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (conversation, ts) = item(call)?;
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

fn item(call: &Call<'_>) -> Result<(ConversationId, Ts), ApiError> {
    if call.args.filled("channel")?.is_none() {
        return Err(ApiError::refused("no_item_specified"));
    }
    let ts = call.args.ts("timestamp", "no_item_specified", "bad_timestamp")?;
    Ok((call.args.conversation("channel")?, ts))
}

/// An emoji's name, with or without its colons; one with a skin tone keeps the pair between.
fn emoji(call: &Call<'_>) -> Result<String, ApiError> {
    Ok(call.args.required("name", "invalid_name")?.trim_matches(':').to_owned())
}
