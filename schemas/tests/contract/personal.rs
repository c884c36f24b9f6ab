//! Personal text lies in fields of the record `Text` and nowhere else, so that erasure is one change.

use std::collections::BTreeSet;

use teamlog_schemas::schemas;

use crate::avro::{Type, parse};

/// Strings that are not personal text, with the reason. `*` is any record.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("*", "actor", "an id"),
    ("*", "bot", "an id"),
    ("*", "conversation", "an id"),
    ("*", "creator", "an id"),
    ("*", "inviter", "an id"),
    ("*", "item_author", "an id"),
    ("*", "pinned_by", "an id"),
    ("*", "kicked_by", "an id"),
    ("*", "members", "ids"),
    ("*", "mentions", "ids"),
    ("*", "opens_for", "ids"),
    ("*", "reply_users", "ids"),
    ("*", "root_author", "an id"),
    ("*", "schedule", "an id"),
    ("*", "team", "an id"),
    ("*", "user", "an id"),
    ("*", "users", "ids"),
    ("Claim", "node", "a machine's id"),
    ("Message", "client_msg_id", "made by a program to tell its messages apart"),
    ("Message", "subtype", "a word of the protocol"),
    ("Meta", "key", "made by a program to tell its writes apart"),
    ("Meta", "method", "a word of the protocol"),
    ("ClusterFounded", "key_check", "a hash"),
    ("Token", "hash", "a hash"),
    ("TokenRevoked", "hash", "a hash"),
    ("CredentialStored", "sealed", "sealed, and in a topic of its own that forgets"),
    ("Person", "tz", "a name of the tz database"),
    ("Reaction", "name", "an emoji's name"),
    ("ReactionAdded", "name", "an emoji's name"),
    ("ReactionRemoved", "name", "an emoji's name"),
    ("ConversationCreated", "name", "a channel's name"),
    ("ConversationRenamed", "name", "a channel's name"),
    ("ConversationRenamed", "old_name", "a channel's name"),
    ("FirstChannel", "name", "a channel's name"),
    ("TeamCreated", "domain", "the team's address"),
    ("TeamRegistered", "domain", "the team's address"),
    ("TeamCreated", "name", "the team's name, not a person's"),
    ("TeamRegistered", "name", "the team's name, not a person's"),
    ("TeamCreated", "shard", "a database's name"),
    ("TeamRegistered", "shard", "a database's name"),
    ("NodeBeat", "address", "a machine's"),
    ("NodeBeat", "url", "a machine's"),
    ("NodeBeat", "views", "words of the program and databases' names"),
    ("NodeBeat", "role", "a word of the program"),
    ("NodeBeat", "version", "the program's"),
    ("NodeBeat", "kinds", "words of the program"),
    ("ScheduledMessageDeleted", "failed", "a word of the protocol"),
    ("*", "consumer", "a word of the program"),
    ("ConsumerProgress", "position", "a place in the log"),
    ("WorkFailed", "why", "what a program says of a failure, by its contract without people's text"),
];

fn holds_string(of: &Type) -> bool {
    match of {
        Type::String => true,
        Type::Array(of) | Type::Optional(of) => holds_string(of),
        _ => false,
    }
}

#[test]
fn personal_text_is_text() {
    let mut used = BTreeSet::new();
    for version in schemas() {
        for named in Type::Record(parse(version)).named() {
            let Type::Record(record) = named else { continue };
            if record.name == "Text" {
                continue;
            }
            for field in record.fields.iter().filter(|field| holds_string(&field.of)) {
                let allowed = ALLOWED
                    .iter()
                    .find(|(of, name, _)| *name == field.name && [record.name.as_str(), "*"].contains(of));
                let Some(allowed) = allowed else {
                    panic!(
                        "{}.{} is a string: make it a Text, or say here why it is nothing personal",
                        record.name, field.name
                    )
                };
                used.insert(allowed);
            }
        }
    }
    let unused: Vec<_> = ALLOWED.iter().filter(|entry| !used.contains(entry)).collect();
    assert!(unused.is_empty(), "allowed, but not there: {unused:?}");
}
