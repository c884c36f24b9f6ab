//! `Reply`: the good answer of a call.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

/// The good answer of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Its keys but for `ok`.
    Object(Map<String, Value>),
    /// The whole body, `"ok":true` included: one line of JSON that was encoded before.
    Encoded(Bytes),
}

/// A good answer that is written straight from what it is made of.
#[derive(Serialize)]
struct Good<T> {
    ok: bool,
    #[serde(flatten)]
    answer: T,
}

impl Reply {
    /// The keys of `answer` after `ok`.
    pub(crate) fn written(answer: impl Serialize) -> Reply {
        // Objects with strings as keys: they cannot fail.
        let body = serde_json::to_vec(&Good { ok: true, answer }).expect("an answer is plain JSON");
        Reply::Encoded(body.into())
    }

    /// Nothing but `ok`.
    pub fn empty() -> Reply {
        Reply::Object(Map::new())
    }
}

impl From<Map<String, Value>> for Reply {
    fn from(object: Map<String, Value>) -> Reply {
        Reply::Object(object)
    }
}

impl From<Value> for Reply {
    /// # Panics
    /// If it is no object: an answer always is.
    fn from(value: Value) -> Reply {
        match value {
            Value::Object(object) => Reply::Object(object),
            other => panic!("an answer is an object, not {other}"),
        }
    }
}
