//! The content of a message: text, blocks and attachments, and whether they fit.

use serde_json::Value;
use teamlog_schemas::{Message, Text};

use crate::{
    Refusal,
    limits::{ATTACHMENTS_MAX, BLOCKS_MAX, MESSAGE_BYTES_MAX, TEXT_CHARS_MAX},
};

/// The parts of a message that carry content. They fit, and there is at least one.
pub(crate) struct Content {
    pub(crate) blocks: Option<Text>,
    pub(crate) attachments: Option<Text>,
    /// The blocks, parsed.
    pub(crate) read: Vec<Value>,
}

impl Content {
    /// Checks the parts of a message. An empty list counts as none.
    pub(crate) fn of(text: &str, blocks: Option<&str>, attachments: Option<&str>) -> Result<Content, Refusal> {
        if text.chars().count() > TEXT_CHARS_MAX {
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
        let kept = |json: Option<&str>, all: &[Value]| json.filter(|_| !all.is_empty()).map(Text::from);
        Ok(Content { blocks: kept(blocks, &read), attachments: kept(attachments, &attached), read })
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

/// Whether a message fits with all its parts.
pub(crate) fn fits(message: &Message) -> Result<(), Refusal> {
    let text = |part: &Option<Text>| part.as_ref().map_or(0, |text| text.plain.len());
    let plain = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    let parts = [&message.blocks, &message.attachments, &message.username, &message.icons, &message.extra];
    let names = plain(&message.subtype) + plain(&message.client_msg_id);
    let bytes = message.text.plain.len() + parts.into_iter().map(text).sum::<usize>() + names;
    if bytes > MESSAGE_BYTES_MAX { Err(Refusal::MsgTooLong) } else { Ok(()) }
}
