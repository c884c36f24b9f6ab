//! `api.*`

use serde_json::{Map, Value, json};

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{
    ApiError,
    args::{Everything, args},
};

pub(super) const METHODS: &[Method] = &[TEST];

const TEST: Method = Method {
    name: "api.test",
    alias_of: None,
    about: "Sends its arguments back, or refuses with the code that `error` names.",
    scope: "",
    access: Access::Anybody,
    retry: Retry::Repeatable,
    tier: Tier::Four,
    takes: takes!(Test => test),
    answers: &[Key::sometimes("args", Shape::Object, "The arguments, if there were any.")],
    errors: &[],
    examples: &[|| json!({ "foo": "bar" })],
};

args! {
    struct Test {
        /// The code to refuse with.
        error: Option<String>,
        /// Any other argument.
        everything: Everything,
    }
}

async fn test(_: &Call<'_>, args: Test) -> Result<Reply, ApiError> {
    if let Some(error) = args.error {
        return Err(ApiError::echoed(error));
    }
    let mut reply = Map::new();
    if !args.everything.0.is_empty() {
        reply.insert("args".to_owned(), Value::Object(args.everything.0));
    }
    Ok(reply.into())
}
