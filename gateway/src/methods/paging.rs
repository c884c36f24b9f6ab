//! Cursors of pages: opaque to clients.

use std::marker::PhantomData;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Key, Shape};
use crate::{
    ApiError,
    args::{Argument, Given, Kind, Single, text},
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
    /// A scheduled message, by the pair of the time when it is due, in microseconds, and its id.
    Timers "due:";
}

/// The place where a page begins, as the argument `cursor` brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor<C>(u64, u64, PhantomData<C>);

impl<C: Counted> Cursor<C> {
    /// Returns the place: an index or microseconds.
    pub(super) fn place(self) -> u64 {
        self.0
    }

    /// Returns the place as a pair of numbers.
    pub(super) fn pair(self) -> (u64, u64) {
        (self.0, self.1)
    }

    /// Returns `response_metadata` with the place where the next page begins, or with an empty cursor.
    pub(super) fn metadata(next: Option<u64>) -> Value {
        let cursor = next.map(|next| STANDARD.encode(format!("{}{next}", C::PREFIX))).unwrap_or_default();
        json!({ "next_cursor": cursor })
    }

    /// Returns `response_metadata` with a place that is a pair of numbers.
    pub(super) fn metadata_of_pair(next: Option<(u64, u64)>) -> Value {
        let cursor =
            next.map(|(one, other)| STANDARD.encode(format!("{}{one}/{other}", C::PREFIX))).unwrap_or_default();
        json!({ "next_cursor": cursor })
    }

    fn decoded(text: &str) -> Option<Cursor<C>> {
        let bytes = STANDARD.decode(text.as_bytes()).ok()?;
        let place = std::str::from_utf8(&bytes).ok()?.strip_prefix(C::PREFIX)?;
        let (one, other) = place.split_once('/').unwrap_or((place, "0"));
        Some(Cursor(one.parse().ok()?, other.parse().ok()?, PhantomData))
    }
}

impl<C: Counted> Single for Cursor<C> {
    const KIND: Kind = Kind::Cursor;
    const MALFORMED: &'static str = "invalid_cursor";

    fn single(value: &Given, argument: &Argument) -> Result<Option<Cursor<C>>, ApiError> {
        let text = text(value, argument)?;
        text.map(|text| Cursor::decoded(text).ok_or_else(|| argument.is_malformed())).transpose()
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
