//! Cursors of pages: opaque to clients.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{ApiError, Args};

/// What a cursor counts, so that one of another method is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// The dense index of a person.
    Person,
    /// The dense index of a conversation.
    Conversation,
    /// A `ts`, in microseconds.
    Message,
    /// A `ts` in a thread.
    Reply,
}

impl Cursor {
    const fn prefix(self) -> &'static str {
        match self {
            Cursor::Person => "user:",
            Cursor::Conversation => "channel:",
            Cursor::Message => "next_ts:",
            Cursor::Reply => "reply_ts:",
        }
    }

    /// Where the page that is asked for begins; none for the first.
    ///
    /// # Errors
    /// `invalid_cursor` for what this did not make.
    pub(super) fn of(self, args: &Args) -> Result<Option<u64>, ApiError> {
        let invalid = || ApiError::refused("invalid_cursor");
        let Some(text) = args.filled("cursor")? else { return Ok(None) };
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| invalid())?;
        let plain = std::str::from_utf8(&bytes).map_err(|_| invalid())?;
        plain.strip_prefix(self.prefix()).and_then(|number| number.parse().ok()).map(Some).ok_or_else(invalid)
    }

    /// `response_metadata` with where the next page begins; with an empty cursor on the last one.
    pub(super) fn metadata(self, next: Option<u64>) -> Value {
        let cursor = next.map(|next| STANDARD.encode(format!("{}{next}", self.prefix()))).unwrap_or_default();
        json!({ "next_cursor": cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(cursor: &Value) -> Args {
        let mut args = Args::default();
        args.put("cursor".to_owned(), cursor.as_str().unwrap().to_owned());
        args
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let made = Cursor::Person.metadata(Some(17));
        assert_eq!(Cursor::Person.of(&args(&made["next_cursor"])), Ok(Some(17)));
        assert_eq!(Cursor::Message.of(&args(&made["next_cursor"])).unwrap_err().code(), "invalid_cursor");
        assert_eq!(Cursor::Person.of(&args(&Cursor::Person.metadata(None)["next_cursor"])), Ok(None));
        for text in ["nonsense", "dXNlcjo=", "dXNlcjotMQ==", "é"] {
            assert_eq!(Cursor::Person.of(&args(&json!(text))).unwrap_err().code(), "invalid_cursor", "{text}");
        }
    }
}
