//! The Avro type of a Rust type: [`record!`] and [`symbols!`] make both from one definition.
//!
//! `schemas/avro/<Name>/v<N>.avsc` of an event's newest version is written from here by
//! `TEAMLOG_BLESS=1 cargo test -p teamlog-schemas`. Files of older versions are the only trace of what those were, and
//! are compiled in.

use serde_json::{Value as Json, json};
use uuid::Uuid;

#[cfg(any(test, feature = "testing"))]
use crate::testing::Dice;
use crate::{BotId, ConversationId, ScheduleId, TeamId, Ts, UserId};

/// A type that a field of a record may have.
pub(crate) trait AvroType: Sized {
    /// The Avro schema. `named` holds the names that were defined before: a second mention is the name alone.
    fn schema(named: &mut Vec<&'static str>) -> Json;

    /// The bytes that a value holds outside itself, for the bounds of memories.
    fn heap_bytes(&self) -> usize;

    /// Some value, for tests.
    #[cfg(any(test, feature = "testing"))]
    fn sample(dice: &mut Dice) -> Self;
}

/// The Avro namespace of every record.
pub const NAMESPACE: &str = "teamlog";

/// The schema of an event, as the text of a file.
pub(crate) fn avsc<T: AvroType>() -> String {
    let mut schema = T::schema(&mut Vec::new());
    if let Json::Object(fields) = &mut schema {
        fields.shift_insert(2, "namespace".to_owned(), json!(NAMESPACE));
    }
    format!("{schema:#}\n")
}

/// The text of a doc comment, without what only rustdoc understands.
pub(crate) fn doc(lines: &[&str]) -> String {
    let text: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    text.join(" ").replace("[`", "").replace("`]", "").replace('`', "")
}

/// A field of a record. What may be absent is absent by default, so that a field which a later version brings can be
/// missing in older records.
pub(crate) fn field<T: AvroType>(name: &str, doc: &str, named: &mut Vec<&'static str>) -> Json {
    let of = T::schema(named);
    let is_option = of.is_array();
    let mut field = json!({ "name": name, "doc": doc, "type": of });
    if is_option {
        field["default"] = Json::Null;
    }
    field
}

/// Defines a record: the Rust struct, its serde traits, and its Avro type with the same fields and docs.
///
/// A field that comes to a record with a new version of its event is an `Option`.
macro_rules! record {
    ($(#[doc = $doc:literal])+ $(#[derive($($derive:ident),+)])? pub struct $name:ident {
        $($(#[doc = $field_doc:literal])+ pub $field:ident: $type:ty),+ $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize $($(, $derive)+)?)]
        pub struct $name { $($(#[doc = $field_doc])+ pub $field: $type),+ }

        impl $crate::avro::AvroType for $name {
            fn schema(named: &mut Vec<&'static str>) -> serde_json::Value {
                if named.contains(&stringify!($name)) {
                    return stringify!($name).into();
                }
                named.push(stringify!($name));
                let fields = vec![$($crate::avro::field::<$type>(
                    stringify!($field), &$crate::avro::doc(&[$($field_doc),+]), named)),+];
                serde_json::json!({
                    "type": "record", "name": stringify!($name), "doc": $crate::avro::doc(&[$($doc),+]), "fields": fields,
                })
            }

            fn heap_bytes(&self) -> usize {
                [$($crate::avro::AvroType::heap_bytes(&self.$field)),+].iter().sum()
            }

            #[cfg(any(test, feature = "testing"))]
            fn sample(dice: &mut $crate::testing::Dice) -> $name {
                $name { $($field: $crate::avro::AvroType::sample(dice)),+ }
            }
        }
    };
}

/// Defines an enum without fields: the Rust type and its Avro type, whose symbols are the variants in `snake_case`.
macro_rules! symbols {
    ($(#[doc = $doc:literal])+ pub enum $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[doc = $variant_doc])+ $variant),+ }

        impl $crate::avro::AvroType for $name {
            fn schema(named: &mut Vec<&'static str>) -> serde_json::Value {
                if named.contains(&stringify!($name)) {
                    return stringify!($name).into();
                }
                named.push(stringify!($name));
                serde_json::json!({
                    "type": "enum", "name": stringify!($name), "doc": $crate::avro::doc(&[$($doc),+]),
                    "symbols": [$($name::$variant),+],
                })
            }

            fn heap_bytes(&self) -> usize {
                0
            }

            #[cfg(any(test, feature = "testing"))]
            fn sample(dice: &mut $crate::testing::Dice) -> $name {
                *dice.pick(&[$($name::$variant),+])
            }
        }
    };
}

pub(crate) use {record, symbols};

/// Types that are one Avro value and hold nothing outside themselves.
macro_rules! plain {
    ($($type:ty: $schema:tt, $dice:ident => $sample:expr;)+) => {
        $(impl AvroType for $type {
            fn schema(_: &mut Vec<&'static str>) -> Json {
                json!($schema)
            }

            fn heap_bytes(&self) -> usize {
                0
            }

            #[cfg(any(test, feature = "testing"))]
            fn sample($dice: &mut Dice) -> $type {
                $sample
            }
        })+
    };
}

plain! {
    bool: "boolean", dice => dice.roll(2) == 1;
    i32: "int", dice => dice.roll(7) as i32;
    i64: "long", dice => dice.roll(7) as i64;
    Uuid: { "type": "string", "logicalType": "uuid" }, dice => Uuid::from_u128(u128::from(dice.roll(u64::MAX)));
    Ts: { "type": "long", "logicalType": "timestamp-micros" }, dice => dice.ts();
    TeamId: "string", dice => dice.id(&["T1"]);
    UserId: "string", dice => dice.id(&["UADA", "UBOB", "UCY"]);
    BotId: "string", dice => dice.id(&["BROBO"]);
    ConversationId: "string", dice => dice.id(&["C1", "G1", "D1", "G2"]);
    ScheduleId: "string", dice => dice.id(&["Q1", "Q2"]);
}

impl AvroType for String {
    fn schema(_: &mut Vec<&'static str>) -> Json {
        json!("string")
    }

    fn heap_bytes(&self) -> usize {
        self.len()
    }

    #[cfg(any(test, feature = "testing"))]
    fn sample(dice: &mut Dice) -> String {
        format!("word{}", dice.roll(100))
    }
}

impl<T: AvroType> AvroType for Option<T> {
    fn schema(named: &mut Vec<&'static str>) -> Json {
        json!(["null", T::schema(named)])
    }

    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, AvroType::heap_bytes)
    }

    #[cfg(any(test, feature = "testing"))]
    fn sample(dice: &mut Dice) -> Option<T> {
        let value = T::sample(dice);
        bool::sample(dice).then_some(value)
    }
}

impl<T: AvroType> AvroType for Vec<T> {
    fn schema(named: &mut Vec<&'static str>) -> Json {
        json!({ "type": "array", "items": T::schema(named) })
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(&**self) + self.iter().map(AvroType::heap_bytes).sum::<usize>()
    }

    #[cfg(any(test, feature = "testing"))]
    fn sample(dice: &mut Dice) -> Vec<T> {
        (0..dice.roll(3)).map(|_| T::sample(dice)).collect()
    }
}
