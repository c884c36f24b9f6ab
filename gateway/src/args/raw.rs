//! `Args`: the arguments of a call as they came, by name.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, value::RawValue};

/// The arguments of a call by name, before they are parsed. A form knows strings only; JSON has types. A handler never
/// sees these: it gets what its method declares ([`Arguments`](super::Arguments)).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Args {
    values: IndexMap<String, Given>,
}

/// The value of an argument as it came. Nested JSON stays text until a handler's argument parses it: a call that is refused
/// before that costs no more than its bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// JSON's `null`: as if it had not come.
    Null,
    /// A text: all that a form has.
    Text(String),
    /// A number or a boolean of JSON, as it is written there.
    Scalar(String),
    /// An array or an object of JSON, as it is written there.
    Nested(String),
}

impl Given {
    /// Takes a value of JSON.
    ///
    /// # Errors
    /// If it is a string with an escape that names no character.
    fn of(raw: &RawValue) -> serde_json::Result<Given> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'"') => Given::Text(serde_json::from_str(text)?),
            Some(b'[' | b'{') => Given::Nested(text.to_owned()),
            Some(b'n') | None => Given::Null,
            Some(_) => Given::Scalar(text.to_owned()),
        })
    }

    /// Returns the value of JSON that it was; a form's text is a string. Null if it is nested deeper than JSON is parsed.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Given::Null => Value::Null,
            Given::Text(text) => Value::String(text.clone()),
            Given::Scalar(text) | Given::Nested(text) => serde_json::from_str(text).unwrap_or_default(),
        }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given, D::Error> {
        Given::of(<&RawValue>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl From<&Value> for Given {
    fn from(value: &Value) -> Given {
        match value {
            Value::Null => Given::Null,
            Value::String(text) => Given::Text(text.clone()),
            Value::Bool(_) | Value::Number(_) => Given::Scalar(value.to_string()),
            Value::Array(_) | Value::Object(_) => Given::Nested(value.to_string()),
        }
    }
}

impl Args {
    /// Takes the arguments of a JSON object.
    pub fn new(values: &Map<String, Value>) -> Args {
        Args { values: values.iter().map(|(name, value)| (name.clone(), Given::from(value))).collect() }
    }

    /// Adds a form's field. The last field of a name counts.
    pub fn put(&mut self, name: String, value: String) {
        self.values.insert(name, Given::Text(value));
    }

    /// Takes over all of `other`. Where both have a name, the value of `other` counts.
    pub fn extend(&mut self, other: Args) {
        if self.values.is_empty() {
            self.values = other.values;
        } else {
            self.values.extend(other.values);
        }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes a text out: a token, which no handler should see.
    pub fn take(&mut self, name: &str) -> Option<String> {
        match self.values.shift_remove(name) {
            Some(Given::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns all of them as values of JSON.
    pub fn to_values(&self) -> Map<String, Value> {
        self.values.iter().map(|(name, value)| (name.clone(), value.to_value())).collect()
    }

    /// Returns the value of a name; none if it is absent or `null`.
    pub fn value(&self, name: &str) -> Option<&Given> {
        self.values.get(name).filter(|value| **value != Given::Null)
    }
}
