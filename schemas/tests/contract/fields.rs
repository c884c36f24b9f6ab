//! Every schema and its Rust type have the same fields, in the same order, of the same kinds.

use std::collections::HashMap;

use serde_json::Value as Json;
use teamlog_schemas::{Event, Ts, schemas};

use crate::{
    avro::{Record, Sampler, Type, parse},
    docs::newest,
};

/// Samples of the newest versions of events; `Claim` and `Barrier` are `log/`'s.
fn events() -> impl Iterator<Item = (Event, Record)> {
    newest().filter(|version| version.id >= 10).map(|version| {
        let event = Event::decode(&Sampler::bytes(version)).unwrap_or_else(|why| panic!("{}: {why}", version.name));
        (event, std::rc::Rc::into_inner(parse(version)).unwrap())
    })
}

#[test]
fn what_avro_wrote_survives_the_rust_type() {
    for version in schemas().filter(|version| version.id >= 10) {
        let bytes = Sampler::bytes(version);
        let event = Event::decode(&bytes).unwrap_or_else(|why| panic!("{}: {why}", version.name));
        assert_eq!((event.name(), event.meta().is_some()), (version.name, version.avsc.contains("\"Meta\"")));
        assert!(event.schema_ids().contains(&version.id) && event.topic() == version.topic, "{}", version.name);
        // Nothing of a sample is absent or alike, so a field that only one side knows would change the bytes.
        assert_eq!(hex::encode(event.encode().unwrap()), hex::encode(bytes), "{}", version.name);
        assert_eq!(Event::decode(&event.encode().unwrap()).unwrap(), event);
    }
}

#[test]
fn names_and_order_are_the_schemas() {
    for (event, record) in events() {
        let mut json = event.to_json();
        assert_eq!(json.as_object_mut().unwrap().shift_remove("type").unwrap(), event.name());
        agrees(&Type::Record(record.into()), &json, event.name());
    }
}

fn agrees(of: &Type, json: &Json, path: &str) {
    match of {
        Type::Record(record) => {
            let names: Vec<_> = record.fields.iter().map(|field| field.name.as_str()).collect();
            let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, names, "{path}");
            for field in &record.fields {
                agrees(&field.of, &json[&field.name], &format!("{path}.{}", field.name));
            }
        }
        Type::Array(of) => {
            assert_eq!(json.as_array().unwrap().len(), 2, "{path}");
            json.as_array().unwrap().iter().for_each(|item| agrees(of, item, path));
        }
        Type::Optional(of) => agrees(of, json, path),
        Type::Boolean => assert!(json.is_boolean(), "{path}: {json}"),
        Type::Int | Type::Long => assert!(json.is_i64(), "{path}: {json}"),
        Type::String | Type::Uuid => assert!(json.is_string(), "{path}: {json}"),
        Type::Enum(of) => assert!(of.symbols.iter().any(|symbol| json == symbol), "{path}: {json}"),
        Type::Ts => {
            let text = json.as_str().unwrap_or_else(|| panic!("{path}: {json}"));
            assert!(text.parse::<teamlog_schemas::Ts>().is_ok(), "{path}: {json}");
        }
    }
}

#[test]
fn every_symbol_of_an_enum_is_a_variant() {
    use teamlog_schemas::{Broadcast, ConversationKind, TokenKind};
    fn all_of<T: serde::de::DeserializeOwned + serde::Serialize>(symbols: &[String]) {
        for symbol in symbols {
            let variant: T = serde_json::from_value(symbol.as_str().into()).unwrap();
            assert_eq!(serde_json::to_value(&variant).unwrap(), symbol.as_str());
        }
    }
    for version in schemas() {
        for named in Type::Record(parse(version)).named() {
            let Type::Enum(of) = named else { continue };
            match of.name.as_str() {
                "Broadcast" => all_of::<Broadcast>(&of.symbols),
                "ConversationKind" => all_of::<ConversationKind>(&of.symbols),
                "TokenKind" => all_of::<TokenKind>(&of.symbols),
                name => panic!("the enum {name} stands in no test: add it here"),
            }
        }
    }
}

/// Every event carries a copy of the records that it is made of; newest versions must agree about them.
#[test]
fn a_name_means_one_thing() {
    let mut seen: HashMap<String, Type> = HashMap::new();
    for version in newest() {
        for named in Type::Record(parse(version)).named() {
            let name = match &named {
                Type::Record(of) => of.name.clone(),
                Type::Enum(of) => of.name.clone(),
                _ => unreachable!("only these have names"),
            };
            let before = seen.entry(name).or_insert_with(|| named.clone());
            assert_eq!(*before, named, "in {}", version.name);
        }
    }
}

#[test]
fn a_teams_event_begins_with_meta() {
    for (event, record) in events() {
        assert_eq!(event.meta().is_some(), record.fields[0].name == "meta", "{}", event.name());
        assert_eq!(event.team(), event.meta().map(|meta| meta.team));
    }
}

/// The next `ts` of a team is above all that its events gave out: an event that gives out less than its newest message has
/// would let a later message take that name again.
#[test]
fn an_event_gives_out_the_ts_of_its_newest_message_unless_it_was_imported() {
    let mut with_messages = 0;
    for event in (0..64).flat_map(Event::samples) {
        let Some(newest) = event.messages().iter().map(|(_, message)| message.ts).max() else { continue };
        with_messages += 1;
        let is_imported = event.name() == "MessageImported";
        assert_eq!(event.given_ts(), if is_imported { Ts::ZERO } else { newest }, "{event:?}");
    }
    assert!(with_messages > 64, "{with_messages} samples have messages");
}
