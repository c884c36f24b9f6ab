//! The wire format between nodes: JSON, in which unknown keys are ignored and missing ones defaulted, so that nodes of two
//! versions understand each other as far as possible. A value that a node does not understand is never taken for another.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use teamlog_log::{Partition, Position};
use teamlog_schemas::Event;
use tokio::time::Instant;

use crate::{Acked, Answer, NotAccepted, Nothing, Refusal};

/// A call with the time that is left for it: clocks differ, durations do not.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked<T> {
    wait_ms: u64,
    /// The partition of `events`; none for the directory.
    pub(super) partition: Option<Partition>,
    pub(super) request: T,
}

impl<T> Asked<T> {
    pub(super) fn new(partition: Option<Partition>, request: T, deadline: Instant) -> Asked<T> {
        let left = deadline.saturating_duration_since(Instant::now());
        Asked { wait_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX), partition, request }
    }

    /// Returns the deadline by this node's clock.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.wait_ms.min(WAIT_MS_MAX))
    }
}

/// The longest wait of any caller, in milliseconds.
const WAIT_MS_MAX: u64 = 60_000;

/// An [`Answer`] as it is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Acked {
        /// In the wire format of the log, in base64.
        event: String,
        partition: Partition,
        seen_at: Position,
        repeated: bool,
    },
    Nothing {
        why: Nothing,
        partition: Partition,
        seen_at: Position,
    },
    /// By its code.
    Refused(String),
    NotAccepted {
        why: NotAccepted,
        retry_after_ms: u64,
    },
    Unknown,
}

impl Said {
    pub(super) fn of(answer: Answer) -> Said {
        match answer {
            Answer::Acked(Acked { event, partition, seen_at, repeated }) => match event.encode() {
                Ok(event) => Said::Acked { event: STANDARD.encode(event), partition, seen_at, repeated },
                Err(_) => Said::Unknown,
            },
            Answer::Nothing { why, partition, seen_at } => Said::Nothing { why, partition, seen_at },
            Answer::Refused(refusal) => Said::Refused(refusal.code().to_owned()),
            Answer::NotAccepted { retry_after, why } => {
                Said::NotAccepted { why, retry_after_ms: u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX) }
            }
            Answer::Unknown => Said::Unknown,
        }
    }

    /// Returns the answer. An event that cannot be decoded here becomes an unknown outcome; a refusal that is not known here
    /// becomes "not accepted", which may be retried.
    pub(super) fn answer(self) -> Answer {
        match self {
            Said::Acked { event, partition, seen_at, repeated } => {
                let event = STANDARD.decode(event).ok().and_then(|bytes| Event::decode(&bytes).ok());
                event.map_or(Answer::Unknown, |event| {
                    Answer::Acked(Acked { event: event.into(), partition, seen_at, repeated })
                })
            }
            Said::Nothing { why, partition, seen_at } => Answer::Nothing { why, partition, seen_at },
            Said::Refused(code) => match Refusal::by_code(&code) {
                Some(refusal) => Answer::Refused(refusal),
                None => Answer::not_accepted(NotAccepted::OtherVersion),
            },
            Said::NotAccepted { why, retry_after_ms } => {
                Answer::NotAccepted { why, retry_after: Duration::from_millis(retry_after_ms) }
            }
            Said::Unknown => Answer::Unknown,
        }
    }
}

#[cfg(test)]
mod round_trips;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_node_says_is_not_taken_for_something_else() {
        let answer = Said::Refused("a_reason_of_tomorrow".to_owned()).answer();
        assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::OtherVersion, .. }), "{answer:?}");
        // It happened, though what it was cannot be read here.
        let seen_at = Position::START;
        let event = STANDARD.encode([0, 0, 1, 0, 0, 2]);
        let answer = Said::Acked { event, partition: Partition(0), seen_at, repeated: false }.answer();
        assert!(matches!(answer, Answer::Unknown), "{answer:?}");
        assert!(serde_json::from_str::<Said>(r#"{"queued":{}}"#).is_err());
    }

    #[test]
    fn a_newer_nodes_keys_are_ignored_and_an_older_ones_defaulted() {
        let asked = r#"{"wait_ms":5,"partition":3,"tomorrow":1,"request":{"team":"T1","actor":null,"method":"m","key":null,
            "traceparent":null,"command":{"Post":{"text":"hello","mood":"good"}}}}"#;
        let asked: Asked<crate::Request> = serde_json::from_str(asked).unwrap();
        let crate::Command::Post(post) = asked.request.command else { panic!("{:?}", asked.request.command) };
        assert_eq!((post.text.as_str(), post.reply_broadcast), ("hello", false));
    }
}
