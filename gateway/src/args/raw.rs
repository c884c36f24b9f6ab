//! `Args`: the arguments of a call as they came, by name.

use serde_json::{Map, Value};

/// The arguments of a call by name, before they are parsed. A form knows strings only; JSON has types. A handler never
/// sees these: it gets what its method declares ([`Arguments`](super::Arguments)).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args {
    values: Map<String, Value>,
}

impl Args {
    /// Takes the arguments as they are.
    pub fn new(values: Map<String, Value>) -> Args {
        Args { values }
    }

    /// Adds a form's field. The last field of a name counts.
    pub fn put(&mut self, name: String, value: String) {
        self.values.insert(name, Value::String(value));
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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes a text out: a token, which no handler should see.
    pub fn take(&mut self, name: &str) -> Option<String> {
        match self.values.shift_remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns all of them.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Returns the value of a name; none if it is absent or `null`.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }
}
