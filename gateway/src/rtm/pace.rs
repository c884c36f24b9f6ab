//! The rate limit of a socket's frames, of every type.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use teamlog_schemas::ConversationId;
use tokio::time::Instant;

/// The least time between two notices that a client is too fast, and between two that it is typing in a conversation.
const SECOND: Duration = Duration::from_secs(1);
/// Conversations in which one socket may be typing in the same second.
const TYPING_MAX: usize = 32;

/// The decision about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The frame is handled.
    Heard,
    /// The frame is dropped, and the client is told so.
    TooFast,
    /// The frame is dropped; the client was already told within the last second.
    Ignored,
}

/// The rate limits of a socket.
pub(super) struct Pace {
    frames: Option<DefaultDirectRateLimiter>,
    told: Option<Instant>,
    typing: HashMap<ConversationId, Instant>,
}

impl Pace {
    /// Takes the frames allowed per second in the long run, and the burst; none for no limit.
    pub(super) fn new(frames: Option<(u32, u32)>) -> Pace {
        let some = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = |(per_second, burst)| Quota::per_second(some(per_second)).allow_burst(some(burst));
        Pace { frames: frames.map(|rate| RateLimiter::direct(quota(rate))), told: None, typing: HashMap::new() }
    }

    /// A frame came.
    pub(super) fn frame(&mut self, now: Instant) -> Verdict {
        if self.frames.as_ref().is_none_or(|frames| frames.check().is_ok()) {
            return Verdict::Heard;
        }
        metrics::counter!("teamlog_rtm_frames_dropped_total").increment(1);
        if self.told.is_some_and(|told| now.duration_since(told) < SECOND) {
            return Verdict::Ignored;
        }
        self.told = Some(now);
        Verdict::TooFast
    }

    /// Whether the others are to be told that one is typing: once a second in each conversation.
    pub(super) fn may_type(&mut self, conversation: ConversationId, now: Instant) -> bool {
        self.typing.retain(|_, told| now.duration_since(*told) < SECOND);
        if self.typing.len() >= TYPING_MAX || self.typing.contains_key(&conversation) {
            return false;
        }
        self.typing.insert(conversation, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_too_fast_is_told_once_a_second() {
        let mut pace = Pace::new(Some((1, 3)));
        let now = Instant::now();
        let verdicts: Vec<_> = (0..5).map(|_| pace.frame(now)).collect();
        use Verdict::{Heard, Ignored, TooFast};
        assert_eq!(verdicts, [Heard, Heard, Heard, TooFast, Ignored]);
        assert_eq!(pace.frame(now + SECOND), TooFast);
        let mut unbounded = Pace::new(None);
        assert!((0..1000).all(|_| unbounded.frame(now) == Heard));
    }

    #[test]
    fn typing_is_told_once_a_second_in_each_conversation() {
        let mut pace = Pace::new(None);
        let channel = |number: usize| format!("C{number}").parse::<ConversationId>().unwrap();
        let now = Instant::now();
        assert!(pace.may_type(channel(1), now) && pace.may_type(channel(2), now));
        assert!(!pace.may_type(channel(1), now + SECOND / 2));
        assert!(pace.may_type(channel(1), now + SECOND));
        let told = (0..1000).filter(|number| pace.may_type(channel(*number), now + 3 * SECOND)).count();
        assert_eq!(told, TYPING_MAX);
    }
}
