//! The one error that a call ends with, and how answers of the write path and of reads become it.

use std::{borrow::Cow, time::Duration};

use serde_json::{Map, Value, json};
use teamlog_ingest::{Answer, Made, NotAccepted, Nothing};
use teamlog_live::TeamsError;
use teamlog_log::FeedError;
use teamlog_schemas::EventType;
use teamlog_state::SourceError;

/// The error of a call, as its caller receives it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{code}")]
pub struct ApiError {
    code: Cow<'static, str>,
    kind: Kind,
    /// More for people: `response_metadata.messages`.
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refused,
    TooLarge,
    RateLimited(Duration),
    NotAccepted(Duration),
    Away(Duration),
    OutcomeUnknown,
    TimedOut,
    Internal,
}

impl ApiError {
    /// Refused with one of the published codes.
    pub const fn refused(code: &'static str) -> ApiError {
        ApiError { code: Cow::Borrowed(code), kind: Kind::Refused, message: None }
    }

    /// Refused with a code that is put together (`api.test` echoes one).
    pub fn echoed(code: String) -> ApiError {
        ApiError { code: Cow::Owned(code), kind: Kind::Refused, message: None }
    }

    /// `invalid_arguments`, with a word on which.
    pub fn argument(message: impl Into<String>) -> ApiError {
        ApiError::refused("invalid_arguments").saying(message)
    }

    /// Too many calls; the wait is rounded up to whole seconds.
    pub const fn rate_limited(wait: Duration) -> ApiError {
        ApiError { code: Cow::Borrowed("ratelimited"), kind: Kind::RateLimited(wait), message: None }
    }

    /// A body or query past its bound.
    pub const fn too_large() -> ApiError {
        ApiError { code: Cow::Borrowed("request_too_large"), kind: Kind::TooLarge, message: None }
    }

    /// A write that was not executed.
    pub const fn not_accepted(retry_after: Duration) -> ApiError {
        ApiError { code: Cow::Borrowed("not_accepted"), kind: Kind::NotAccepted(retry_after), message: None }
    }

    /// A write that may have happened.
    pub const fn outcome_unknown() -> ApiError {
        ApiError { code: Cow::Borrowed("outcome_unknown"), kind: Kind::OutcomeUnknown, message: None }
    }

    /// A read whose source is unavailable.
    pub const fn away() -> ApiError {
        ApiError { code: Cow::Borrowed("service_unavailable"), kind: Kind::Away(Duration::from_secs(1)), message: None }
    }

    /// The call took longer than a call may, and wrote nothing.
    pub const fn timed_out() -> ApiError {
        ApiError { code: Cow::Borrowed("request_timeout"), kind: Kind::TimedOut, message: None }
    }

    /// A broken invariant; a person must act.
    pub const fn internal() -> ApiError {
        ApiError { code: Cow::Borrowed("internal_error"), kind: Kind::Internal, message: None }
    }

    /// With a word for people.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> ApiError {
        self.message = Some(message.into());
        self
    }

    /// The published code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether its code came with the call.
    pub(crate) fn is_echoed(&self) -> bool {
        matches!(self.code, Cow::Owned(_))
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self.kind {
            Kind::Refused => 200,
            Kind::TooLarge => 413,
            Kind::RateLimited(_) => 429,
            Kind::NotAccepted(_) | Kind::Away(_) | Kind::OutcomeUnknown | Kind::TimedOut => 503,
            Kind::Internal => 500,
        }
    }

    /// `Retry-After` in whole seconds, at least 1.
    pub fn retry_after(&self) -> Option<u64> {
        match self.kind {
            Kind::RateLimited(wait) | Kind::NotAccepted(wait) | Kind::Away(wait) => {
                Some(wait.as_secs_f64().ceil().max(1.0) as u64)
            }
            Kind::Refused | Kind::TooLarge | Kind::OutcomeUnknown | Kind::TimedOut | Kind::Internal => None,
        }
    }

    /// The answer's body.
    pub fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("ok".to_owned(), json!(false));
        body.insert("error".to_owned(), json!(self.code));
        if let Some(message) = &self.message {
            body.insert("response_metadata".to_owned(), json!({ "messages": [format!("[ERROR] {message}")] }));
        }
        body
    }
}

/// The outcome of a write that was not refused.
#[derive(Debug)]
pub enum Done<E> {
    /// Its event is in the log.
    Made(Made<E>),
    /// There was nothing to do.
    Nothing(Nothing),
}

impl<E: EventType> Done<E> {
    /// Returns the event of a write that always makes one.
    ///
    /// # Errors
    /// `outcome_unknown` if there was nothing to do: then the write path and the caller disagree about the command.
    pub fn made(self) -> Result<Made<E>, ApiError> {
        match self {
            Done::Made(made) => Ok(made),
            Done::Nothing(_) => Err(ApiError::outcome_unknown()),
        }
    }
}

/// Turns an answer of the write path into a call's outcome: all of it, so that nothing unknown is ever called a failure. An
/// event of another type than the command makes is an unknown outcome too.
pub fn settle<E: EventType>(answer: Answer) -> Result<Done<E>, ApiError> {
    match answer {
        Answer::Acked(acked) => Made::of(acked.event).map(Done::Made).ok_or(ApiError::outcome_unknown()),
        Answer::Nothing { why, .. } => Ok(Done::Nothing(why)),
        Answer::Refused(refusal) => Err(ApiError::refused(refusal.code())),
        Answer::NotAccepted { retry_after, why } => {
            let why = match why {
                NotAccepted::Busy => "too much waits for this team",
                NotAccepted::LogAway => "the log does not answer",
                NotAccepted::TeamAway => "the team could not be loaded",
                NotAccepted::NotOwner => "another node is taking over",
                NotAccepted::Late => "it took too long",
                NotAccepted::Stopping => "the node is stopping",
                NotAccepted::OtherVersion => "a node of another version does not understand it yet",
                NotAccepted::Unreadable => "the team's partition cannot be read on: its operators must act",
            };
            Err(ApiError::not_accepted(retry_after).saying(why))
        }
        Answer::Unknown => Err(ApiError::outcome_unknown()),
    }
}

impl From<TeamsError> for ApiError {
    fn from(error: TeamsError) -> ApiError {
        match error {
            TeamsError::NotFound => ApiError::refused("team_not_found"),
            TeamsError::NotBegun(_) | TeamsError::Away(_) | TeamsError::TooFar(_) | TeamsError::Stopped(_) => {
                ApiError::away()
            }
        }
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> ApiError {
        match error {
            SourceError::Away { .. } => ApiError::away(),
            SourceError::Broken { .. } => {
                tracing::error!(%error, "a shard's row cannot be read");
                ApiError::internal()
            }
        }
    }
}

impl From<FeedError> for ApiError {
    fn from(_: FeedError) -> ApiError {
        ApiError::away()
    }
}

#[cfg(test)]
mod tests {
    use teamlog_ingest::Refusal;
    use teamlog_schemas::Event;

    use super::*;

    #[test]
    fn waits_are_whole_seconds() {
        assert_eq!(ApiError::rate_limited(Duration::from_millis(20)).retry_after(), Some(1));
        assert_eq!(ApiError::not_accepted(Duration::from_millis(1200)).retry_after(), Some(2));
        assert_eq!(ApiError::outcome_unknown().retry_after(), None);
    }

    #[test]
    fn a_refusal_is_a_200_and_an_unknown_outcome_is_no_failure() {
        let refused = settle::<Event>(Answer::Refused(Refusal::NameTaken)).unwrap_err();
        assert_eq!((refused.status(), refused.code()), (200, "name_taken"));
        let unknown = settle::<Event>(Answer::Unknown).unwrap_err();
        assert_eq!((unknown.status(), unknown.code()), (503, "outcome_unknown"));
        let late = Answer::NotAccepted { retry_after: Duration::from_secs(2), why: NotAccepted::Late };
        let late = settle::<Event>(late).unwrap_err();
        assert_eq!((late.status(), late.code(), late.retry_after()), (503, "not_accepted", Some(2)));
    }
}
