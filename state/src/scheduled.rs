//! Messages that are to be posted at a time: what begins one and what ends it. The shard's rows, facts, lists and timers all
//! call these.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, Event, Message, ScheduleId, TeamId, Ts, UnfurlFlags, UserId};

/// A message that waits to be posted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Where it will be posted.
    pub conversation: ConversationId,
    /// The author.
    pub by: UserId,
    /// When it is due.
    pub due: Ts,
    /// When it was scheduled.
    pub created: Ts,
    /// The message; its `ts` is the time when it is due.
    pub message: Message,
    /// The author's wishes about showing links, if any.
    pub unfurl: Option<UnfurlFlags>,
}

/// The place of a timer among those of a partition: by the time when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerKey {
    /// When it is due.
    pub due: Ts,
    /// Its team.
    pub team: TeamId,
    /// Its id.
    pub schedule: ScheduleId,
}

/// The part of a waiting message that its partition's owner holds in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// When, of which team, and which one.
    pub key: TimerKey,
    /// The author, in whose name it is posted.
    pub by: UserId,
    /// Where it will be posted.
    pub conversation: ConversationId,
    /// The root of its thread, for a reply.
    pub root: Option<Ts>,
}

/// Returns the scheduled message that an event begins.
pub fn scheduled_by(event: &Event) -> Option<(ScheduleId, Scheduled)> {
    let Event::MessageScheduled(e) = event else { return None };
    let scheduled = Scheduled {
        conversation: e.conversation,
        by: e.meta.actor?,
        due: e.due,
        created: e.meta.at,
        message: e.message.clone(),
        unfurl: e.unfurl,
    };
    Some((e.schedule, scheduled))
}

/// Returns the timer that an event begins.
pub fn timer_of(event: &Event) -> Option<Timer> {
    let Event::MessageScheduled(e) = event else { return None };
    let key = TimerKey { due: e.due, team: e.meta.team, schedule: e.schedule };
    Some(Timer { key, by: e.meta.actor?, conversation: e.conversation, root: e.message.thread_ts })
}

/// Returns the scheduled message that an event ends: it was posted, or will never be.
pub fn unscheduled_by(event: &Event) -> Option<ScheduleId> {
    if let Event::MessagePosted(e) = event {
        e.schedule
    } else if let Event::ScheduledMessageDeleted(e) = event {
        Some(e.schedule)
    } else {
        None
    }
}

/// The length of a window of scheduled messages, in seconds. A conversation takes a limited number of scheduled messages in each.
pub const SCHEDULE_WINDOW_SECONDS: i64 = 5 * 60;

/// Returns the beginning of the window that a time lies in.
pub fn schedule_window(due: Ts) -> Ts {
    let seconds = due.seconds();
    Ts::from_micros((seconds - seconds.rem_euclid(SCHEDULE_WINDOW_SECONDS)) * 1_000_000)
}
