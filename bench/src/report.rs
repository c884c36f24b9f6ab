//! What a bench found.

use serde_json::{Map, Value};

/// What a bench found: an object for programs, lines for people.
#[derive(Clone, Debug)]
pub struct Report {
    object: Map<String, Value>,
    lines: Vec<String>,
}

impl Report {
    pub(crate) fn new(heading: Value) -> Report {
        let object = if let Value::Object(object) = heading { object } else { Map::new() };
        Report { object, lines: Vec::new() }
    }

    pub(crate) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.object.insert(name.to_owned(), value.into());
    }

    pub(crate) fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// One object: rates, times in milliseconds, and the ratio to the limit of this run.
    pub fn object(&self) -> Value {
        Value::Object(self.object.clone())
    }

    /// The same for people.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}
