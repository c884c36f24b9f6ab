//! `api.*`

use serde_json::{Map, Value};

use super::{Call, Method, Reply, rows};
use crate::ApiError;

pub(super) const METHODS: &[Method] = rows! {
    "api.test" "" Anybody Repeatable api_test;
};

/// `api.test`
async fn api_test(call: &Call<'_>) -> Result<Reply, ApiError> {
    if let Some(error) = call.args.filled("error")? {
        return Err(ApiError::echoed(error.into_owned()));
    }
    let mut reply = Map::new();
    if !call.args.is_empty() {
        reply.insert("args".to_owned(), Value::Object(call.args.values().clone()));
    }
    Ok(reply.into())
}
