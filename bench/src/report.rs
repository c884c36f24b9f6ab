//! The report of a bench.

use serde_json::{Map, Value};

/// The result of a bench: an object for programs and lines for people.
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

    /// Returns the figures: rates, times in milliseconds, and the ratio to the limit of this run.
    pub fn object(&self) -> Value {
        Value::Object(self.object.clone())
    }

    /// Returns the figures of [`Report::object`] as lines for people.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}
