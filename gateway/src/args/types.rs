//! The types that arguments are parsed into.

use std::{borrow::Cow, str::FromStr};

use serde_json::{Map, Value};
use teamlog_schemas::{BotId, ConversationId, ScheduleId, TeamId, Ts, UserId};

use super::{Args, Argument, Kind, Parse};
use crate::{ApiError, limits};

/// A type of a single value. It is parsed as an argument that must be given, and in an `Option` as one that may be.
pub(crate) trait Single: Sized {
    const KIND: Kind;
    const MALFORMED: &'static str;

    /// Parses a value; none if it counts as absent, as an empty text does.
    fn single(value: &Value, argument: &Argument) -> Result<Option<Self>, ApiError>;
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
pub(crate) fn text<'a>(value: &'a Value, argument: &Argument) -> Result<Option<Cow<'a, str>>, ApiError> {
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(flag) => Cow::Owned(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(ApiError::argument(format!("{} must be a string", argument.name)));
        }
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Parses a text by `FromStr`.
fn parsed<T: FromStr>(value: &Value, argument: &Argument) -> Result<Option<T>, ApiError> {
    let text = text(value, argument)?;
    text.map(|text| text.trim().parse().map_err(|_| argument.is_malformed())).transpose()
}

impl Single for String {
    const KIND: Kind = Kind::Text;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Value, argument: &Argument) -> Result<Option<String>, ApiError> {
        Ok(text(value, argument)?.map(Cow::into_owned))
    }
}

impl Single for u64 {
    const KIND: Kind = Kind::Number;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Value, argument: &Argument) -> Result<Option<u64>, ApiError> {
        parsed(value, argument)
    }
}

macro_rules! ids {
    ($($type:ty, $what:literal, $code:literal;)*) => {$(
        impl Single for $type {
            const KIND: Kind = Kind::Id($what);
            /// Also of what is no id at all: an answer tells a stranger nothing of what there is.
            const MALFORMED: &'static str = $code;

            fn single(value: &Value, argument: &Argument) -> Result<Option<$type>, ApiError> {
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

    fn single(value: &Value, argument: &Argument) -> Result<Option<Ts>, ApiError> {
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
        match text.as_deref() {
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

    fn single(value: &Value, argument: &Argument) -> Result<Option<Verbatim>, ApiError> {
        Ok(Some(Verbatim(text(value, argument)?.map(Cow::into_owned).unwrap_or_default())))
    }
}

/// The size of a page. 0 counts as absent, as old clients have it, and a larger one than a page may have is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) usize);

impl Single for Limit {
    const KIND: Kind = Kind::Number;
    const MALFORMED: &'static str = "invalid_limit";

    fn single(value: &Value, argument: &Argument) -> Result<Option<Limit>, ApiError> {
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

    fn single(value: &Value, argument: &Argument) -> Result<Option<Moment>, ApiError> {
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
                value: &serde_json::Value,
                argument: &$crate::args::Argument,
            ) -> Result<Option<Self>, $crate::ApiError> {
                match $crate::args::text(value, argument)?.as_deref() {
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
        let items = match args.value(argument.name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(Value::String(text)) if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).map_err(|_| wrong())?
            }
            Some(Value::String(text)) => text.split(',').map(|item| Value::from(item.trim())).collect(),
            Some(_) => return Err(wrong()),
        };
        if items.len() > limits::LIST_ARG_MAX {
            return Err(ApiError::argument(format!("{} has more than {} items", argument.name, limits::LIST_ARG_MAX)));
        }
        let parsed = items.iter().map(|item| if item.is_string() { T::single(item, argument) } else { Err(wrong()) });
        parsed.filter_map(Result::transpose).collect()
    }
}

/// A JSON array that may come as its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonArray(pub(crate) Vec<Value>);

/// A JSON object that may come as its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

/// The value of a JSON argument. An empty text counts as absent.
fn json<'a>(value: &'a Value, argument: &Argument) -> Result<Option<Cow<'a, Value>>, ApiError> {
    match value {
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => {
            serde_json::from_str(text).map(Cow::Owned).map(Some).map_err(|_| argument.is_malformed())
        }
        value => Ok(Some(Cow::Borrowed(value))),
    }
}

impl Single for JsonArray {
    const KIND: Kind = Kind::Objects;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Value, argument: &Argument) -> Result<Option<JsonArray>, ApiError> {
        match json(value, argument)?.map(Cow::into_owned) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(JsonArray(items))),
            Some(_) => Err(argument.is_malformed()),
        }
    }
}

impl Single for JsonObject {
    const KIND: Kind = Kind::Object;
    const MALFORMED: &'static str = "invalid_arguments";

    fn single(value: &Value, argument: &Argument) -> Result<Option<JsonObject>, ApiError> {
        match json(value, argument)?.map(Cow::into_owned) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(JsonObject(object))),
            Some(_) => Err(argument.is_malformed()),
        }
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
        Ok(Everything(args.values().clone()))
    }
}
