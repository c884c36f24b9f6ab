//! `emoji.*`

use serde_json::json;

use super::{Call, Method, Reply, rows};
use crate::ApiError;

pub(super) const METHODS: &[Method] = rows! {
    "emoji.list" "emoji:read" User Repeatable emoji_list;
};

/// `emoji.list`: only the ones that everybody has, which clients bring themselves.
async fn emoji_list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let since = call.caller()?.team.read().created();
    Ok(Reply::from(json!({ "emoji": {}, "cache_ts": since.to_string() })))
}
