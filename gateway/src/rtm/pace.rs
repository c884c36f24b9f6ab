//! The rate limits of what clients send: the frames of a socket, the messages of a person.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use teamlog_schemas::{ConversationId, TeamId, UserId};
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

fn quota((per_second, burst): (u32, u32)) -> Quota {
    let some = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(some(per_second)).allow_burst(some(burst))
}

/// The rate limits of the messages that people send over all their sockets.
pub(super) struct Messages {
    limits: Option<DefaultKeyedRateLimiter<(TeamId, UserId)>>,
}

impl Messages {
    /// Takes the messages allowed per second in the long run, and the burst; none for no limit.
    pub(super) fn new(rate: Option<(u32, u32)>) -> Messages {
        Messages { limits: rate.map(|rate| RateLimiter::keyed(quota(rate))) }
    }

    /// Returns true if a person may send another message now.
    pub(super) fn may_send(&self, team: TeamId, user: UserId) -> bool {
        self.limits.as_ref().is_none_or(|limits| limits.check_key(&(team, user)).is_ok())
    }

    /// Forgets people who sent nothing for so long that their bucket is full: it has the effect of an absent one.
    pub(super) fn forget_idle(&self) {
        if let Some(limits) = &self.limits {
            limits.retain_recent();
        }
    }
}

/// The rate limits of a socket, and its last sign of life.
pub(super) struct Pace {
    frames: Option<DefaultDirectRateLimiter>,
    heard: Instant,
    told: Option<Instant>,
    typing: HashMap<ConversationId, Instant>,
}

impl Pace {
    /// Takes the frames allowed per second in the long run, and the burst; none for no limit.
    pub(super) fn new(frames: Option<(u32, u32)>, now: Instant) -> Pace {
        let frames = frames.map(|rate| RateLimiter::direct(quota(rate)));
        Pace { frames, heard: now, told: None, typing: HashMap::new() }
    }

    /// Notes a sign of life: a frame, a ping, a pong.
    pub(super) fn alive(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Returns the time since the last sign of life.
    pub(super) fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Decides about a frame.
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
        let now = Instant::now();
        let mut pace = Pace::new(Some((1, 3)), now);
        let verdicts: Vec<_> = (0..5).map(|_| pace.frame(now)).collect();
        use Verdict::{Heard, Ignored, TooFast};
        assert_eq!(verdicts, [Heard, Heard, Heard, TooFast, Ignored]);
        assert_eq!(pace.frame(now + SECOND), TooFast);
        let mut unbounded = Pace::new(None, now);
        assert!((0..1000).all(|_| unbounded.frame(now) == Heard));
    }

    #[test]
    fn typing_is_told_once_a_second_in_each_conversation() {
        let mut pace = Pace::new(None, Instant::now());
        let channel = |number: usize| format!("C{number}").parse::<ConversationId>().unwrap();
        let now = Instant::now();
        assert!(pace.may_type(channel(1), now) && pace.may_type(channel(2), now));
        assert!(!pace.may_type(channel(1), now + SECOND / 2));
        assert!(pace.may_type(channel(1), now + SECOND));
        let told = (0..1000).filter(|number| pace.may_type(channel(*number), now + 3 * SECOND)).count();
        assert_eq!(told, TYPING_MAX);
    }
}
