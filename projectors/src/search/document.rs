//! The searchable part of a message, and how events change it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teamlog_schemas::{
    Changed, ConversationId, Event, Message, MessageChange, Reaction, TeamId, Ts, UserId, is_system,
};

/// The version of the documents' meaning and of their encoding, as far as the fields do not show it. Raise it when a rebuild
/// from an unchanged log would give other documents than before: a [`Document`] gains or loses a field, or the tokenizer
/// changes.
pub(super) const ROWS_VERSION: u32 = 1;
/// The indexed text of a message's blocks, and of its attachments, in bytes each. Text past this limit is not found.
const PIECES_BYTES_MAX: usize = 32 * 1024;

/// A message's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) team: TeamId,
    pub(super) conversation: ConversationId,
    pub(super) ts: Ts,
}

impl Name {
    /// Encodes the name as it is stored in the index.
    pub(super) fn bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.team.packed().to_be_bytes());
        bytes[8..16].copy_from_slice(&self.conversation.packed().to_be_bytes());
        bytes[16..].copy_from_slice(&self.ts.micros().to_be_bytes());
        bytes
    }

    /// Decodes a name. None if [`Name::bytes`] did not make the bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Name> {
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Name {
            team: TeamId::from_packed(number(0)?).ok()?,
            conversation: ConversationId::from_packed(number(8)?).ok()?,
            ts: Ts::from_micros(number(16)?.cast_signed()),
        })
    }
}

/// The searchable content of a message, as stored in the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) user: Option<UserId>,
    /// The message's text (or its blocks' texts if that is empty), then the texts of its attachments.
    pub(super) pieces: Vec<String>,
    pub(super) has_link: bool,
    pub(super) is_reply: bool,
    /// The number of people who reacted with each emoji.
    pub(super) reactions: BTreeMap<String, u32>,
}

impl Document {
    /// Makes the document of a message, without reactions. None for a system message, for example about a join.
    fn of(message: &Message) -> Option<Document> {
        if is_system(message.subtype.as_deref()) {
            return None;
        }
        let mut pieces = vec![message.text.plain.clone()];
        if message.text.plain.is_empty()
            && let Some(blocks) = &message.blocks
        {
            said_in(blocks.as_str(), &mut pieces);
        }
        if let Some(attachments) = &message.attachments {
            said_in(attachments.as_str(), &mut pieces);
        }
        pieces.retain(|piece| !piece.is_empty());
        let has_link = pieces.iter().any(|piece| piece.contains("http://") || piece.contains("https://"));
        let (user, is_reply) = (message.user, message.is_reply());
        Some(Document { user, pieces, has_link, is_reply, reactions: BTreeMap::new() })
    }

    /// Returns the document's values for the filters `has:` and `is:`.
    pub(super) fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if self.has_link {
            flags.push("link".to_owned());
        }
        if self.is_reply {
            flags.push("thread".to_owned());
        }
        if !self.reactions.is_empty() {
            flags.push("reaction".to_owned());
        }
        flags.extend(self.reactions.keys().map(|name| format!(":{name}:")));
        flags
    }

    fn react(&mut self, name: &str, more: bool) {
        let count = self.reactions.entry(name.to_owned()).or_default();
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        if *count == 0 {
            self.reactions.remove(name);
        }
    }

    fn with_reactions(mut self, reactions: &[Reaction]) -> Document {
        for reaction in reactions {
            let count = u32::try_from(reaction.users.len()).unwrap_or(u32::MAX);
            self.reactions.insert(reaction.name.clone(), count);
        }
        self
    }

    fn bytes(&self) -> usize {
        self.pieces.iter().map(String::len).sum::<usize>() + 200
    }
}

/// Appends the texts of blocks or attachments to `pieces`.
fn said_in(json: &str, pieces: &mut Vec<String>) {
    let Ok(value) = serde_json::from_str(json) else { return };
    let mut left = PIECES_BYTES_MAX;
    collect(&value, &mut left, pieces);
}

fn collect(value: &Value, left: &mut usize, pieces: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, left, pieces)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    (
                        "text" | "title" | "pretext" | "fallback" | "value" | "footer" | "author_name",
                        Value::String(said),
                    ) => {
                        // A fallback mostly repeats another field.
                        if said.len() <= *left && !pieces.contains(said) {
                            *left -= said.len();
                            pieces.push(said.clone());
                        }
                    }
                    _ => collect(field, left, pieces),
                }
            }
        }
        _ => {}
    }
}

/// The change of one message by the folded events.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The message after the events; none if it was deleted.
    pub(super) document: Option<Document>,
    /// True if one of these events posted the message. Then an index that has not applied them cannot have it.
    pub(super) is_new: bool,
}

/// The changes of messages by a run of consecutive events.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) messages: HashMap<Name, Change>,
    /// A rough size in memory.
    pub(super) bytes: usize,
}

impl Changes {
    /// Applies the next event. `before` looks up a message as it was before the first of these events.
    pub(super) fn apply<E>(
        &mut self,
        event: &Event,
        before: impl Fn(&Name) -> Result<Option<Document>, E>,
    ) -> Result<(), E> {
        let Some(team) = event.team() else { return Ok(()) };
        if let Some(MessageChange { conversation, ts, what }) = event.change() {
            let name = Name { team, conversation, ts };
            match what {
                Changed::Edited(after) => {
                    if let Some(was) = self.current(&name, before)? {
                        let now = Document::of(after);
                        self.put(name, now.map(|now| Document { reactions: was.reactions, ..now }), false);
                    }
                }
                Changed::Deleted(_) => self.put(name, None, false),
                Changed::Reacted { name: emoji, added, .. } => {
                    if let Some(mut document) = self.current(&name, before)? {
                        document.react(emoji, added);
                        self.put(name, Some(document), false);
                    }
                }
            }
        }
        // What an event implies is a conversation's comings and goings, which nobody looks for.
        if let Some((conversation, message)) = event.message() {
            let name = Name { team, conversation, ts: message.ts };
            let document = Document::of(message);
            if let Event::MessageImported(e) = event {
                self.put(name, document.map(|document| document.with_reactions(&e.reactions)), false);
            } else if document.is_some() {
                self.put(name, document, true);
            }
        }
        Ok(())
    }

    fn current<E>(
        &self,
        name: &Name,
        before: impl Fn(&Name) -> Result<Option<Document>, E>,
    ) -> Result<Option<Document>, E> {
        match self.messages.get(name) {
            Some(change) => Ok(change.document.clone()),
            None => before(name),
        }
    }

    fn put(&mut self, name: Name, document: Option<Document>, is_new: bool) {
        self.bytes += document.as_ref().map_or(0, Document::bytes) + 100;
        let is_new = self.messages.get(&name).map_or(is_new, |change| change.is_new);
        self.messages.insert(name, Change { document, is_new });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it lies in every index of this version. If it has to change, raise [`ROWS_VERSION`] with it.
    #[test]
    fn a_document_is_stored_as_its_version_says() {
        let document = Document {
            user: Some("U0ADA".parse().unwrap()),
            pieces: vec!["see".into(), "http://x".into()],
            has_link: true,
            is_reply: false,
            reactions: BTreeMap::from([("tada".to_owned(), 2)]),
        };
        let bytes: String =
            postcard::to_allocvec(&document).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((ROWS_VERSION, &*bytes), (1, "01055530414441020373656508687474703a2f2f78010001047461646102"));
    }
}
