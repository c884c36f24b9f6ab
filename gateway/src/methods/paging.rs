//! Cursors of pages: opaque to clients.

use std::marker::PhantomData;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Key, Shape};
use crate::{
    ApiError,
    args::{Argument, Kind, Single, text},
};

/// The key of a page's answer that says where the next page begins.
pub(super) const PAGE: Key =
    Key::always("response_metadata", Shape::Object, "`next_cursor`: the next page's cursor, empty on the last page.");

/// The thing that a cursor counts. A cursor of another method's is refused.
pub(super) trait Counted {
    const PREFIX: &'static str;
}

macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) struct $name;

        impl Counted for $name {
            const PREFIX: &'static str = $prefix;
        }
    )*};
}
counted! {
    /// A person, by their dense index.
    People "user:";
    /// A conversation, by its dense index.
    Conversations "channel:";
    /// A message, by its `ts` in microseconds.
    Messages "next_ts:";
    /// A message of a thread, by its `ts` in microseconds.
    Replies "reply_ts:";
}

/// The place where a page begins, as the argument `cursor` brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor<C>(u64, PhantomData<C>);

impl<C: Counted> Cursor<C> {
    /// Returns the place: an index or microseconds.
    pub(super) fn place(self) -> u64 {
        self.0
    }

    /// Returns `response_metadata` with the place where the next page begins, or with an empty cursor.
    pub(super) fn metadata(next: Option<u64>) -> Value {
        let cursor = next.map(|next| STANDARD.encode(format!("{}{next}", C::PREFIX))).unwrap_or_default();
        json!({ "next_cursor": cursor })
    }

    fn decoded(text: &str) -> Option<Cursor<C>> {
        let bytes = STANDARD.decode(text.as_bytes()).ok()?;
        let place = std::str::from_utf8(&bytes).ok()?.strip_prefix(C::PREFIX)?.parse().ok()?;
        Some(Cursor(place, PhantomData))
    }
}

impl<C: Counted> Single for Cursor<C> {
    const KIND: Kind = Kind::Cursor;
    const MALFORMED: &'static str = "invalid_cursor";

    fn single(value: &Value, argument: &Argument) -> Result<Option<Cursor<C>>, ApiError> {
        let text = text(value, argument)?;
        text.map(|text| Cursor::decoded(&text).ok_or_else(|| argument.is_malformed())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<C: Counted>(metadata: &Value) -> Option<u64> {
        Cursor::<C>::decoded(metadata["next_cursor"].as_str().unwrap()).map(Cursor::place)
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let made = Cursor::<People>::metadata(Some(17));
        assert_eq!(decoded::<People>(&made), Some(17));
        assert_eq!(decoded::<Messages>(&made), None);
        assert_eq!(Cursor::<People>::metadata(None), json!({ "next_cursor": "" }));
        for text in ["nonsense", "dXNlcjo=", "dXNlcjotMQ==", "\u{e9}"] {
            assert_eq!(Cursor::<People>::decoded(text), None, "{text}");
        }
    }
}
