//! The arguments of a call, whatever they came as: a form's strings or JSON with its types.

use std::{borrow::Cow, str::FromStr};

use serde_json::{Map, Value};
use teamlog_schemas::{ConversationId, Ts, UserId};

use crate::{ApiError, limits};

/// Arguments by name. A form knows strings only, so a number, a flag or a list may also come as its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args {
    values: Map<String, Value>,
}

impl Args {
    /// Arguments as they are.
    pub fn new(values: Map<String, Value>) -> Args {
        Args { values }
    }

    /// Adds a form's field. The last one of a name counts.
    pub fn put(&mut self, name: String, value: String) {
        self.values.insert(name, Value::String(value));
    }

    /// Takes over all of `other`; its values count.
    pub fn extend(&mut self, other: Args) {
        if self.values.is_empty() {
            self.values = other.values;
        } else {
            self.values.extend(other.values);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes one out, for it is nobody else's business (a token).
    pub fn take(&mut self, name: &str) -> Option<String> {
        match self.values.shift_remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// All of them.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// One as it came; none if it is absent or `null`.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// A text. JSON's numbers and flags are fine too.
    ///
    /// # Errors
    /// `invalid_arguments` for a list or an object.
    pub fn text(&self, name: &str) -> Result<Option<Cow<'_, str>>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
            Some(Value::Number(number)) => Ok(Some(Cow::Owned(number.to_string()))),
            Some(Value::Bool(flag)) => Ok(Some(Cow::Owned(flag.to_string()))),
            Some(_) => Err(ApiError::argument(format!("{name} must be a string"))),
        }
    }

    /// A text that is not empty.
    ///
    /// # Errors
    /// As [`Args::text`].
    pub fn filled(&self, name: &str) -> Result<Option<Cow<'_, str>>, ApiError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// `code` if it is absent or empty.
    pub fn required(&self, name: &str, code: &'static str) -> Result<Cow<'_, str>, ApiError> {
        let missing = || ApiError::refused(code).saying(format!("missing required field: {name}"));
        self.filled(name)?.ok_or_else(missing)
    }

    /// A flag: `true`, `1`, `false`, `0`.
    ///
    /// # Errors
    /// `invalid_arguments` for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name)?.as_deref() {
            None | Some("") => Ok(None),
            Some("true" | "1" | "True") => Ok(Some(true)),
            Some("false" | "0" | "False") => Ok(Some(false)),
            Some(_) => Err(ApiError::argument(format!("{name} must be a boolean"))),
        }
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// `code` for anything else.
    pub fn number(&self, name: &str, code: &'static str) -> Result<Option<u64>, ApiError> {
        let text = self.filled(name)?;
        text.map(|text| text.trim().parse().map_err(|_| ApiError::refused(code))).transpose()
    }

    /// The size of a page: `limit`, or what the old methods call `count`; cut to what a page may have.
    ///
    /// # Errors
    /// `invalid_limit` if it is no number or 0 (0 under the old clients' habit means none).
    pub fn limit(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let limit = self.number(name, "invalid_limit")?.filter(|limit| *limit > 0);
        Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX).min(limits::PAGE_MAX)))
    }

    /// A `ts`, or a time in seconds with fewer digits behind the period, as `oldest` and `latest` may be.
    ///
    /// # Errors
    /// `code` for anything else.
    pub fn time(&self, name: &str, code: &'static str) -> Result<Option<Ts>, ApiError> {
        let text = self.filled(name)?;
        text.map(|text| lenient_ts(text.trim()).ok_or_else(|| ApiError::refused(code))).transpose()
    }

    /// A message's name.
    ///
    /// # Errors
    /// `missing` if it is not there, `code` if it is no `ts`.
    pub fn ts(&self, name: &str, missing: &'static str, code: &'static str) -> Result<Ts, ApiError> {
        self.required(name, missing)?.parse().map_err(|_| ApiError::refused(code))
    }

    /// A conversation's id.
    ///
    /// # Errors
    /// `channel_not_found` for whatever is not one: nobody is told more.
    pub fn conversation(&self, name: &str) -> Result<ConversationId, ApiError> {
        self.required(name, "channel_not_found")?.parse().map_err(|_| ApiError::refused("channel_not_found"))
    }

    /// A person's id.
    ///
    /// # Errors
    /// `user_not_found` for whatever is not one.
    pub fn user(&self, name: &str) -> Result<UserId, ApiError> {
        self.required(name, "user_not_found")?.parse().map_err(|_| ApiError::refused("user_not_found"))
    }

    /// A list: of JSON, of a JSON text, or split by commas. Empty items are left out.
    ///
    /// # Errors
    /// `invalid_array_arg` if an item is no text; `invalid_arguments` past the bound.
    pub fn list(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let items = match self.value(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(Value::String(text)) if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).map_err(|_| ApiError::refused("invalid_array_arg"))?
            }
            Some(Value::String(text)) => text.split(',').map(|item| Value::String(item.trim().to_owned())).collect(),
            Some(_) => return Err(ApiError::refused("invalid_array_arg")),
        };
        if items.len() > limits::LIST_ARG_MAX {
            return Err(ApiError::argument(format!("{name} has more than {} items", limits::LIST_ARG_MAX)));
        }
        let text = |item: Value| match item {
            Value::String(text) => Ok(text),
            _ => Err(ApiError::refused("invalid_array_arg")),
        };
        let mut items = items.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        items.retain(|item| !item.is_empty());
        Ok(items)
    }

    /// A list of ids.
    ///
    /// # Errors
    /// `code` if one is no id of the kind.
    pub fn ids<T: FromStr>(&self, name: &str, code: &'static str) -> Result<Vec<T>, ApiError> {
        self.list(name)?.iter().map(|item| item.parse().map_err(|_| ApiError::refused(code))).collect()
    }

    /// A JSON value that may come as its text. An empty text is none.
    ///
    /// # Errors
    /// `code` if the text is not JSON.
    pub fn json(&self, name: &str, code: &'static str) -> Result<Option<Value>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| ApiError::refused(code)),
            Some(value) => Ok(Some(value.clone())),
        }
    }
}

/// Seconds since 1970 with at most six digits behind the period; what is older than 1970 or newer than a `ts` can be
/// is cut.
fn lenient_ts(text: &str) -> Option<Ts> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || seconds.len() > 12 || !digits(seconds) || fraction.len() > 6 || !digits(fraction) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(Ts::from_micros(seconds.parse::<i64>().ok()?.saturating_mul(1_000_000).saturating_add(micros)))
}
