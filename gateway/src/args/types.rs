//! The types that arguments are parsed into.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use teamlog_schemas::{BotId, ConversationId, ScheduleId, TeamId, Ts, UserId};

use super::{Args, Argument, Given, Kind, Parse};
use crate::{ApiError, limits};

/// A type of a single value. It is parsed as an argument that must be given, and in an `Option` as one that may be.
pub(crate) trait Single: Sized {
    const KIND: Kind;
    const MALFORMED: &'static str;

    /// Parses a value; none if it counts as absent, as an empty text does.
    fn single(value: &Given, argument: &Argument) -> Result<Option<Self>, ApiError>;
}

impl<T: Single> Parse for T {
    const KIND: Kind = T::KIND;
    const MISSING: Option<&'static str> = Some(T::MALFORMED);
    const MALFORMED: &'static str = T::MALFORMED;

    fn parse(args: &Args, argument: &Argument) -> Result<T, ApiError> {
        Option::<T>::parse(args, argument)?.ok_or_else(|| argument.is_missing())
    }
}

impl<T: Single> Parse for Option<T> {
    const KIND: Kind = T::KIND;
    const MISSING: Option<&'static str> = None;
    const MALFORMED: &'static str = T::MALFORMED;

    fn parse(args: &Args, argument: &Argument) -> Result<Option<T>, ApiError> {
        match args.value(argument.name) {
            Some(value) => T::single(value, argument),
            None => Ok(None),
        }
    }
}

/// The text of a value. JSON's numbers and booleans count as their text; an empty text is none.
pub(crate) fn text<'a>(value: &'a Given, argument: &Argument) -> Result<Option<&'a str>, ApiError> {
    match value {
        Given::Text(text) | Given::Scalar(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Given::Null | Given::Nested(_) => Err(ApiError::argument(format!("{} must be a string", argument.name))),
    }
}

/// Parses a text by `FromStr`.
fn parsed<T: FromStr>(value: &Given, argument: &Argument) -> Result<Option<T>, ApiError> {
    let text = text(value, argument)?;
    text.map(|text| text.trim().parse().map_err(|_| argument.is_malformed())).transpose()
}

impl Single for String {
    const KIND: Kind = Kind::Text;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Given, argument: &Argument) -> Result<Option<String>, ApiError> {
        Ok(text(value, argument)?.map(str::to_owned))
    }
}

impl Single for u64 {
    const KIND: Kind = Kind::Number;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Given, argument: &Argument) -> Result<Option<u64>, ApiError> {
        parsed(value, argument)
    }
}

macro_rules! ids {
    ($($type:ty, $what:literal, $code:literal;)*) => {$(
        impl Single for $type {
            const KIND: Kind = Kind::Id($what);
            /// Also of what is no id at all: an answer tells a stranger nothing of what there is.
            const MALFORMED: &'static str = $code;

            fn single(value: &Given, argument: &Argument) -> Result<Option<$type>, ApiError> {
                parsed(value, argument)
            }
        }
    )*};
}
ids! {
    ConversationId, "conversation", "channel_not_found";
    UserId, "user", "user_not_found";
    BotId, "bot", "bot_not_found";
    TeamId, "team", "team_not_found";
    ScheduleId, "scheduled message", "invalid_scheduled_message_id";
}

impl Single for Ts {
    const KIND: Kind = Kind::Ts;
    const MALFORMED: &'static str = "message_not_found";

    fn single(value: &Given, argument: &Argument) -> Result<Option<Ts>, ApiError> {
        parsed(value, argument)
    }
}

/// A boolean that is false where it is not given.
/// Absent is false.
impl Parse for bool {
    const KIND: Kind = Kind::Flag;
    const MISSING: Option<&'static str> = None;
    const MALFORMED: &'static str = "invalid_arguments";

    fn parse(args: &Args, argument: &Argument) -> Result<bool, ApiError> {
        Option::<bool>::parse(args, argument).map(Option::unwrap_or_default)
    }
}

impl Parse for Option<bool> {
    const KIND: Kind = Kind::Flag;
    const MISSING: Option<&'static str> = None;
    const MALFORMED: &'static str = "invalid_arguments";

    fn parse(args: &Args, argument: &Argument) -> Result<Option<bool>, ApiError> {
        let text = args.value(argument.name).map(|value| text(value, argument)).transpose()?.flatten();
        match text {
            None => Ok(None),
            Some("false" | "0" | "False") => Ok(Some(false)),
            Some("true" | "1" | "True") => Ok(Some(true)),
            Some(_) => Err(argument.is_malformed().saying(format!("{} must be a boolean", argument.name))),
        }
    }
}

/// A text, of which the empty one is one too, unlike a `String`'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verbatim(pub(crate) String);

impl Single for Verbatim {
    const KIND: Kind = Kind::Text;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Given, argument: &Argument) -> Result<Option<Verbatim>, ApiError> {
        Ok(Some(Verbatim(text(value, argument)?.unwrap_or_default().to_owned())))
    }
}

/// The size of a page. 0 counts as absent, as old clients have it, and a larger one than a page may have is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) usize);

impl Single for Limit {
    const KIND: Kind = Kind::Number;
    const MALFORMED: &'static str = "invalid_limit";

    fn single(value: &Given, argument: &Argument) -> Result<Option<Limit>, ApiError> {
        let limit = parsed::<u64>(value, argument)?.filter(|limit| *limit > 0);
        Ok(limit.map(|limit| Limit(usize::try_from(limit).unwrap_or(usize::MAX).min(limits::PAGE_MAX))))
    }
}

/// A time: a `ts`, or seconds with fewer digits after the period. What is newer than a `ts` can be is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Ts);

impl FromStr for Moment {
    type Err = ();

    fn from_str(text: &str) -> Result<Moment, ()> {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if seconds.is_empty() || seconds.len() > 12 || !digits(seconds) || fraction.len() > 6 || !digits(fraction) {
            return Err(());
        }
        let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| ())?;
        let seconds: i64 = seconds.parse().map_err(|_| ())?;
        Ok(Moment(Ts::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))))
    }
}

impl Single for Moment {
    const KIND: Kind = Kind::Moment;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Given, argument: &Argument) -> Result<Option<Moment>, ApiError> {
        parsed(value, argument)
    }
}

/// Declares an argument's type whose values are known words.
macro_rules! one_of {
    ($(#[$of:meta])* $vis:vis enum $name:ident else $code:literal {
        $($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)?
    }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $variant),* }

        impl $crate::args::Single for $name {
            const KIND: $crate::args::Kind = $crate::args::Kind::OneOf(&[$($word),*]);
            const MALFORMED: &'static str = $code;

            fn single(
                value: &$crate::args::Given,
                argument: &$crate::args::Argument,
            ) -> Result<Option<Self>, $crate::ApiError> {
                match $crate::args::text(value, argument)? {
                    None => Ok(None),
                    $(Some($word) => Ok(Some($name::$variant)),)*
                    Some(_) => Err(argument.is_malformed()),
                }
            }
        }
    };
}
pub(crate) use one_of;

/// A list: of JSON, of a JSON text, or split at commas. Empty items are left out.
impl<T: Single> Parse for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
    const MISSING: Option<&'static str> = None;
    const MALFORMED: &'static str = T::MALFORMED;

    fn parse(args: &Args, argument: &Argument) -> Result<Vec<T>, ApiError> {
        let wrong = || ApiError::refused("invalid_array_arg");
        let items: Vec<Given> = match args.value(argument.name) {
            None => Vec::new(),
            Some(Given::Text(text)) if !text.trim_start().starts_with('[') => {
                text.split(',').map(|item| Given::Text(item.trim().to_owned())).collect()
            }
            Some(Given::Text(text) | Given::Nested(text)) => serde_json::from_str(text).map_err(|_| wrong())?,
            Some(Given::Null | Given::Scalar(_)) => return Err(wrong()),
        };
        if items.len() > limits::LIST_ARG_MAX {
            return Err(ApiError::argument(format!("{} has more than {} items", argument.name, limits::LIST_ARG_MAX)));
        }
        let parsed = items.iter().map(|item| match item {
            Given::Text(_) => T::single(item, argument),
            Given::Null | Given::Scalar(_) | Given::Nested(_) => Err(wrong()),
        });
        parsed.filter_map(Result::transpose).collect()
    }
}

/// The text of a JSON array, which a form brings as a text as well. It is not parsed here: the command or handler that takes
/// it parses it, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonArray(pub(crate) String);

/// A JSON object, which a form brings as its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

/// The text of a JSON argument that begins with `open`. An empty text counts as absent.
fn json<'a>(value: &'a Given, open: char, argument: &Argument) -> Result<Option<&'a str>, ApiError> {
    match value {
        Given::Text(text) if text.trim().is_empty() => Ok(None),
        Given::Text(text) | Given::Nested(text) if text.trim_start().starts_with(open) => Ok(Some(text)),
        _ => Err(argument.is_malformed()),
    }
}

impl JsonArray {
    /// Parses the items; none if they are not JSON, or not of this type.
    pub(crate) fn items<T: DeserializeOwned>(&self) -> Option<Vec<T>> {
        serde_json::from_str(&self.0).ok()
    }
}

impl Single for JsonArray {
    const KIND: Kind = Kind::Objects;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Given, argument: &Argument) -> Result<Option<JsonArray>, ApiError> {
        Ok(json(value, '[', argument)?.map(|text| JsonArray(text.to_owned())))
    }
}

impl Single for JsonObject {
    const KIND: Kind = Kind::Object;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Given, argument: &Argument) -> Result<Option<JsonObject>, ApiError> {
        let text = json(value, '{', argument)?;
        text.map(|text| serde_json::from_str(text).map(JsonObject).map_err(|_| argument.is_malformed())).transpose()
    }
}

/// All arguments of a call, for `api.test`, which sends them back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Everything(pub(crate) Map<String, Value>);

impl Parse for Everything {
    const KIND: Kind = Kind::Everything;
    const MISSING: Option<&'static str> = None;
    const MALFORMED: &'static str = "invalid_arguments";

    fn parse(args: &Args, _: &Argument) -> Result<Everything, ApiError> {
        Ok(Everything(args.to_values()))
    }
}
