//! What a message is made of, and whether it fits.

use serde_json::Value;
use teamlog_schemas::{Message, Text};

use crate::{
    Refusal,
    limits::{ATTACHMENTS_MAX, BLOCKS_MAX, MESSAGE_BYTES_MAX, TEXT_CHARS_MAX},
};

/// The parts of a message that say something. They fit, and there is at least one.
pub(super) struct Parts {
    pub(super) blocks: Option<Text>,
    pub(super) attachments: Option<Text>,
    /// The blocks, read.
    pub(super) read: Vec<Value>,
}

impl Parts {
    /// An empty list is none at all.
    pub(super) fn of(text: &str, blocks: Option<&str>, attachments: Option<&str>) -> Result<Parts, Refusal> {
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
        Ok(Parts { blocks: kept(blocks, &read), attachments: kept(attachments, &attached), read })
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
pub(super) fn fits(message: &Message) -> Result<(), Refusal> {
    let text = |part: &Option<Text>| part.as_ref().map_or(0, |text| text.plain.len());
    let plain = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    let parts = [&message.blocks, &message.attachments, &message.username, &message.icons, &message.extra];
    let names = plain(&message.subtype) + plain(&message.client_msg_id);
    let bytes = message.text.plain.len() + parts.into_iter().map(text).sum::<usize>() + names;
    if bytes > MESSAGE_BYTES_MAX { Err(Refusal::MsgTooLong) } else { Ok(()) }
}
