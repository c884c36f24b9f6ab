//! The content of a message: text, blocks and attachments, and whether they fit. Here alone their JSON is parsed.

use serde_json::Value;
use teamlog_schemas::{Message, Text};

use crate::{
    Refusal,
    limits::{ATTACHMENTS_MAX, BLOCKS_MAX, MESSAGE_BYTES_MAX, TEXT_CHARS_MAX, WRITTEN_BYTES_MAX},
};

/// The parts of a message that carry content. They fit, and there is at least one.
pub(crate) struct Content {
    pub(crate) blocks: Option<Text>,
    pub(crate) attachments: Option<Text>,
    /// The blocks, parsed.
    pub(crate) read: Vec<Value>,
}

impl Content {
    /// Checks the parts of a message. An empty list counts as none. What is kept of a list is printed anew: without spaces,
    /// and with one value a key, so that all who read it read the same.
    pub(crate) fn of(text: &str, blocks: Option<&str>, attachments: Option<&str>) -> Result<Content, Refusal> {
        let bytes = [Some(text), blocks, attachments].into_iter().flatten().map(str::len).sum::<usize>();
        if bytes > WRITTEN_BYTES_MAX || text.chars().count() > TEXT_CHARS_MAX {
            return Err(Refusal::MsgTooLong);
        }
        let read = objects(blocks, Refusal::InvalidBlocks)?;
        if read.len() > BLOCKS_MAX {
            return Err(Refusal::InvalidBlocks);
        }
        let attached = objects(attachments, Refusal::InvalidAttachments)?;
        if attached.len() > ATTACHMENTS_MAX {
            return Err(Refusal::TooManyAttachments);
        }
        if text.trim().is_empty() && read.is_empty() && attached.is_empty() {
            return Err(Refusal::NoText);
        }
        Ok(Content { blocks: printed(&read), attachments: printed(&attached), read })
    }
}

/// The objects of a JSON array.
fn objects(json: Option<&str>, refusal: Refusal) -> Result<Vec<Value>, Refusal> {
    let Some(json) = json else { return Ok(Vec::new()) };
    match serde_json::from_str(json) {
        Ok(Value::Array(all)) if all.iter().all(Value::is_object) => Ok(all),
        _ => Err(refusal),
    }
}

fn printed(all: &[Value]) -> Option<Text> {
    // A list of JSON values is always JSON.
    (!all.is_empty()).then(|| Text::from(serde_json::to_string(all).unwrap_or_default()))
}

/// Whether a message fits with all its parts.
pub(crate) fn fits(message: &Message) -> Result<(), Refusal> {
    let text = |part: &Option<Text>| part.as_ref().map_or(0, |text| text.plain.len());
    let plain = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    let parts = [&message.blocks, &message.attachments, &message.username, &message.icons, &message.extra];
    let names = plain(&message.subtype) + plain(&message.client_msg_id);
    let bytes = message.text.plain.len() + parts.into_iter().map(text).sum::<usize>() + names;
    if bytes > MESSAGE_BYTES_MAX { Err(Refusal::MsgTooLong) } else { Ok(()) }
}
