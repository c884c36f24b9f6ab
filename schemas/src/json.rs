//! An event as JSON, for people and for tools that read lines: field by field as its schema has it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use serde_json::{Map, Value, json};

use crate::{Event, Ts, schemas};

/// The part of a schema that rendering needs: where in a value the timestamps are.
enum Shape {
    /// `timestamp-micros`: a [`Ts`].
    Ts,
    List(Arc<Shape>),
    Record(Vec<(String, Arc<Shape>)>),
    /// Everything else, which is its own JSON.
    Plain,
}

static SHAPES: LazyLock<HashMap<u32, Arc<Shape>>> = LazyLock::new(|| {
    let of = |avsc| {
        let schema: Value = serde_json::from_str(avsc).expect("a schema of this crate parses");
        Shape::of(&schema, &mut HashMap::new())
    };
    schemas().map(|version| (version.id, of(version.avsc))).collect()
});

impl Event {
    /// `{"type": <the record's name>, ...}` with the fields of the event's schema in its order. Every timestamp is a
    /// string as clients see a `ts`, `"1444959632.000002"`; uuids and enums are strings, what is absent is `null`, and
    /// a `Text` stays the object that it is in the schema.
    pub fn to_json(&self) -> Value {
        let mut fields = self.fields();
        if let Some(shape) = SHAPES.get(self.schema_ids().last().unwrap_or(&0)) {
            shape.tell_time(&mut fields);
        }
        let mut object = Map::from_iter([("type".to_owned(), json!(self.name()))]);
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        Value::Object(object)
    }
}

impl Shape {
    fn of(schema: &Value, named: &mut HashMap<String, Arc<Shape>>) -> Arc<Shape> {
        let plain = || Arc::new(Shape::Plain);
        match schema {
            Value::String(name) => named.get(name).cloned().unwrap_or_else(plain),
            // Unions here are "absent or one thing", so the thing decides.
            Value::Array(branches) => {
                branches.iter().find(|branch| *branch != "null").map_or_else(plain, |branch| Shape::of(branch, named))
            }
            Value::Object(_) if schema["logicalType"] == "timestamp-micros" => Arc::new(Shape::Ts),
            Value::Object(_) if schema["type"] == "array" => Arc::new(Shape::List(Shape::of(&schema["items"], named))),
            Value::Object(_) if schema["type"] == "record" => {
                let fields = schema["fields"].as_array().into_iter().flatten();
                let shape = Arc::new(Shape::Record(
                    fields
                        .map(|field| {
                            (field["name"].as_str().unwrap_or_default().to_owned(), Shape::of(&field["type"], named))
                        })
                        .collect(),
                ));
                named.insert(schema["name"].as_str().unwrap_or_default().to_owned(), shape.clone());
                shape
            }
            _ => plain(),
        }
    }

    /// Turns the numbers that are timestamps into text.
    fn tell_time(&self, value: &mut Value) {
        match self {
            Shape::Ts => {
                if let Some(micros) = value.as_i64() {
                    *value = json!(Ts::from_micros(micros).to_string());
                }
            }
            Shape::List(of) => value.as_array_mut().into_iter().flatten().for_each(|item| of.tell_time(item)),
            Shape::Record(fields) => {
                for (name, shape) in fields {
                    if let Some(field) = value.get_mut(name) {
                        shape.tell_time(field);
                    }
                }
            }
            Shape::Plain => {}
        }
    }
}
