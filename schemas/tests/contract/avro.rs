//! The part of Avro that schemas here may use, and a sample of each record made from its schema alone.

use std::{collections::HashMap, rc::Rc};

use apache_avro::{Schema, types::Value, writer::datum::GenericDatumWriter};
use serde_json::Value as Json;
use teamlog_schemas::{NAMESPACE, SchemaVersion};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Boolean,
    Int,
    Long,
    String,
    Uuid,
    /// `timestamp-micros`.
    Ts,
    Array(Rc<Type>),
    Optional(Rc<Type>),
    Enum(Rc<Enum>),
    Record(Rc<Record>),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) symbols: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) of: Type,
}

/// Reads a schema and holds it to the house's rules: a namespace, a doc on everything, options that are
/// `["null", X]` with the default `null`, nothing but what [`Type`] has.
pub(crate) fn parse(version: &SchemaVersion) -> Rc<Record> {
    let schema: Json = serde_json::from_str(version.avsc).unwrap();
    assert_eq!(schema["namespace"], NAMESPACE, "{}", version.name);
    let Type::Record(record) = parse_type(&schema, &mut HashMap::new()) else {
        panic!("{} is not a record", version.name)
    };
    assert_eq!(record.name, version.name);
    record
}

fn text(of: &Json, key: &str) -> String {
    let text = of[key].as_str().unwrap_or_else(|| panic!("no {key:?} on {of}"));
    assert!(!text.trim().is_empty(), "an empty {key:?} on {of}");
    text.to_owned()
}

fn parse_type(schema: &Json, named: &mut HashMap<String, Type>) -> Type {
    match schema {
        Json::String(name) => match name.as_str() {
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "string" => Type::String,
            name => named.get(name).unwrap_or_else(|| panic!("{name} is not allowed here or not defined")).clone(),
        },
        Json::Array(branches) => {
            assert!(branches.len() == 2 && branches[0] == "null", "not an option: {schema}");
            Type::Optional(Rc::new(parse_type(&branches[1], named)))
        }
        _ => parse_object(schema, named),
    }
}

fn parse_object(schema: &Json, named: &mut HashMap<String, Type>) -> Type {
    let logical = schema["logicalType"].as_str();
    let parsed = match (schema["type"].as_str().unwrap(), logical) {
        ("string", Some("uuid")) => return Type::Uuid,
        ("long", Some("timestamp-micros")) => return Type::Ts,
        ("array", None) => return Type::Array(Rc::new(parse_type(&schema["items"], named))),
        ("enum", None) => Type::Enum(Rc::new(Enum {
            name: text(schema, "name"),
            doc: text(schema, "doc"),
            symbols: schema["symbols"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect(),
        })),
        ("record", None) => Type::Record(Rc::new(Record {
            name: text(schema, "name"),
            doc: text(schema, "doc"),
            fields: schema["fields"].as_array().unwrap().iter().map(|field| parse_field(field, named)).collect(),
        })),
        _ => panic!("not allowed here: {schema}"),
    };
    assert!(named.insert(text(schema, "name"), parsed.clone()).is_none(), "defined twice: {schema}");
    parsed
}

fn parse_field(field: &Json, named: &mut HashMap<String, Type>) -> Field {
    let of = parse_type(&field["type"], named);
    let default = field.as_object().unwrap().get("default");
    let fits = match of {
        Type::Optional(_) => default == Some(&Json::Null),
        // A field that a later version brings must have one; of a first version's it says nothing.
        _ => default.is_none_or(|default| !default.is_null()),
    };
    assert!(fits, "a default that does not fit: {field}");
    Field { name: text(field, "name"), doc: text(field, "doc"), of }
}

impl Type {
    /// The records and enums that it is made of, itself included, each before those inside it.
    pub(crate) fn named(&self) -> Vec<Type> {
        match self {
            Type::Array(of) | Type::Optional(of) => of.named(),
            Type::Enum(_) => vec![self.clone()],
            Type::Record(record) => {
                let mut all = vec![self.clone()];
                all.extend(record.fields.iter().flat_map(|field| field.of.named()));
                all
            }
            _ => Vec::new(),
        }
    }
}

/// A record with everything that may be absent present, two of everything that may be many, and no two values of a
/// kind alike: so a field that is lost or confused on the way shows.
pub(crate) struct Sampler(i64);

impl Sampler {
    /// The sample of a schema in the Confluent wire format, written by Avro alone.
    pub(crate) fn bytes(version: &SchemaVersion) -> Vec<u8> {
        let value = Sampler(0).value(&Type::Record(parse(version)), "");
        let schema = Schema::parse_str(version.avsc).unwrap();
        let mut bytes = vec![0];
        bytes.extend(version.id.to_be_bytes());
        bytes.extend(GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap());
        bytes
    }

    fn value(&mut self, of: &Type, field: &str) -> Value {
        self.0 += 1;
        match of {
            Type::Boolean => Value::Boolean(true),
            Type::Int => Value::Int(self.0 as i32),
            Type::Long => Value::Long((1 << 40) + self.0),
            Type::Uuid => Value::Uuid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + self.0 as u128)),
            Type::Ts => Value::TimestampMicros(1_444_959_632_000_000 + self.0),
            Type::String => Value::String(self.string(field)),
            Type::Optional(of) => Value::Union(1, Box::new(self.value(of, field))),
            Type::Array(of) => Value::Array(vec![self.value(of, field), self.value(of, field)]),
            Type::Enum(of) => {
                let at = of.symbols.len() - 1;
                Value::Enum(at as u32, of.symbols[at].clone())
            }
            Type::Record(of) => {
                Value::Record(of.fields.iter().map(|f| (f.name.clone(), self.value(&f.of, &f.name))).collect())
            }
        }
    }

    fn string(&self, field: &str) -> String {
        let n = self.0;
        match field {
            "team" => format!("T0CJ5PC{n:02}"),
            "conversation" => format!("C0CJ5PC{n:02}"),
            "schedule" => format!("Q0CJ5PC{n:02}"),
            "bot" => format!("B0CJ5PC{n:02}"),
            "actor" | "creator" | "inviter" | "item_author" | "pinned_by" | "kicked_by" | "members" | "mentions"
            | "opens_for" | "reply_users" | "root_author" | "user" | "users" => format!("U0CJ5PC{n:02}"),
            "hash" | "key_check" => format!("{n:064x}"),
            "plain" => format!("Grüße <@U0CJ5PC7L> 👋 {n}"),
            field => format!("{field} {n}"),
        }
    }
}
