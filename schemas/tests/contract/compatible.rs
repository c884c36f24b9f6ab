//! A change to a schema is compatible, or refused.

use apache_avro::{
    Schema,
    schema_compatibility::{Compatibility, SchemaCompatibility},
};
use serde_json::{Value as Json, json};
use teamlog_schemas::schemas;

/// Why `new` may not follow `old`.
///
/// Whoever has the new schema must read every record of the old one (backward). Analysts read new records by the
/// schema that they have for a while yet, so a field without a default never goes; a new symbol of an enum alone is
/// beyond them, for it can only be understood by learning it.
fn refuses(old: &str, new: &str) -> Option<String> {
    let parsed = |avsc: &str| Schema::parse_str(avsc).unwrap();
    match SchemaCompatibility::can_read(&parsed(old), &parsed(new)) {
        Ok(Compatibility::Full) => {}
        Ok(Compatibility::Partial) => return Some("some old records cannot be read".into()),
        Err(why) => return Some(why.to_string()),
    }
    let open = |avsc: &str| {
        let mut schema = serde_json::from_str(avsc).unwrap();
        open_enums(&mut schema, &mut Vec::new());
        parsed(&schema.to_string())
    };
    match SchemaCompatibility::can_read(&open(new), &open(old)) {
        Ok(Compatibility::Full) => None,
        Ok(Compatibility::Partial) => Some("who has the old schema cannot read some new records".into()),
        Err(why) => Some(why.to_string()),
    }
}

/// Every enum, where it is defined and where it is named, becomes a string: one that may have any symbol.
fn open_enums(schema: &mut Json, enums: &mut Vec<Json>) {
    if schema["type"] == "enum" {
        enums.push(schema["name"].clone());
        *schema = json!("string");
    } else if enums.contains(schema) {
        *schema = json!("string");
    }
    match schema {
        Json::Object(object) => {
            for (key, value) in object {
                if ["type", "items", "fields"].contains(&key.as_str()) {
                    open_enums(value, enums);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| open_enums(item, enums)),
        _ => {}
    }
}

#[test]
fn every_version_follows_from_all_before() {
    for new in schemas() {
        for old in schemas().filter(|old| old.name == new.name && old.version <= new.version) {
            let refused = refuses(old.avsc, new.avsc);
            assert_eq!(refused, None, "{} v{} after v{}", new.name, new.version, old.version);
            assert_eq!(old.topic, new.topic, "{}", new.name);
        }
    }
}

fn posted() -> &'static str {
    schemas().find(|version| version.name == "MessagePosted").unwrap().avsc
}

/// `MessagePosted` with the fields of a record in it changed.
fn with_fields(record: &str, change: impl FnOnce(&mut Vec<Json>)) -> String {
    fn find<'a>(schema: &'a mut Json, record: &str) -> Option<&'a mut Vec<Json>> {
        if schema["name"] == record && schema["type"] == "record" {
            return schema["fields"].as_array_mut();
        }
        match schema {
            Json::Object(object) => object.values_mut().find_map(|value| find(value, record)),
            Json::Array(items) => items.iter_mut().find_map(|item| find(item, record)),
            _ => None,
        }
    }
    let mut schema = serde_json::from_str(posted()).unwrap();
    change(find(&mut schema, record).unwrap());
    schema.to_string()
}

fn field<'a>(fields: &'a mut [Json], name: &str) -> &'a mut Json {
    fields.iter_mut().find(|field| field["name"] == name).unwrap()
}

#[test]
fn an_incompatible_change_is_refused() {
    let changes = [
        ("a field without a default goes", with_fields("MessagePosted", |f| f.retain(|f| f["name"] != "conversation"))),
        ("the same, inside", with_fields("Message", |f| f.retain(|f| f["name"] != "reply_broadcast"))),
        ("the same, inside what may be absent", with_fields("Thread", |f| f.retain(|f| f["name"] != "reply_count"))),
        ("a field comes without a default", with_fields("Message", |f| f.push(json!({"name": "new", "type": "int"})))),
        ("a field changes its type", with_fields("Thread", |f| field(f, "reply_count")["type"] = json!("string"))),
        ("a field is called otherwise", with_fields("Text", |f| field(f, "plain")["name"] = json!("text"))),
        (
            "what could be absent no longer can",
            with_fields("Message", |f| {
                *field(f, "username") = json!({"name": "username", "type": "Text"});
            }),
        ),
        (
            "a symbol goes",
            with_fields("MessagePosted", |f| {
                field(f, "broadcast")["type"][1]["symbols"] = json!(["here", "channel"]);
            }),
        ),
        ("the record is called otherwise", posted().replacen("\"MessagePosted\"", "\"MessageSent\"", 1)),
    ];
    for (what, changed) in changes {
        assert!(refuses(posted(), &changed).is_some(), "let through: {what}");
    }
}

#[test]
fn a_compatible_change_is_not() {
    let option = json!({"name": "new", "type": ["null", "Text"], "default": null});
    let changes = [
        ("the same", posted().to_owned()),
        ("other words", posted().replace("A message was posted.", "Somebody wrote.")),
        ("a field comes with a default", with_fields("Message", |f| f.push(option))),
        ("a field with a default goes", with_fields("Message", |f| f.retain(|f| f["name"] != "icons"))),
        (
            "a symbol comes",
            with_fields("MessagePosted", |f| {
                field(f, "broadcast")["type"][1]["symbols"] = json!(["here", "channel", "everyone", "away"]);
            }),
        ),
    ];
    for (what, changed) in changes {
        assert_eq!(refuses(posted(), &changed), None, "{what}");
    }
}
