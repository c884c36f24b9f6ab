//! What a node makes of the others' heartbeats: pure, by the broker's stamps.

use std::time::Duration;

use uuid::Uuid;

/// A node is silent once its newest heartbeat is that much older than the newest of who judges. Some heartbeats may be
/// late or lost; a restart elsewhere after a crash waits that long.
pub const SILENT_AFTER: Duration = Duration::from_secs(3);

const SILENT_MS: i64 = SILENT_AFTER.as_millis() as i64;

/// Another process, by its newest heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its node.
    pub(super) node: Uuid,
    /// Where it is reached.
    pub(super) address: String,
    /// The broker's stamp, in milliseconds since 1970.
    pub(super) stamp_ms: i64,
    /// Whether it was there before the first heartbeat of who judges. Of two that start at the same time one was.
    pub(super) before: bool,
}

impl Seen {
    /// Whether it lives, to somebody whose newest heartbeat has this stamp.
    pub(super) fn lives(&self, newest_ms: i64) -> bool {
        newest_ms - self.stamp_ms < SILENT_MS
    }
}

/// What a process that has just started may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// Nobody else is there: go on.
    Alone,
    /// This one may have died a moment ago: wait for its next heartbeat.
    Waits(&'a Seen),
    /// This one lives: leave it alone.
    Taken(&'a Seen),
}

/// Judges by the stamps of the first and the newest heartbeat of this process. It has sent heartbeats all the while, so a
/// wait ends once they span [`SILENT_AFTER`]: by then the dead are silent.
pub(super) fn standing<'a>(first_ms: i64, newest_ms: i64, others: impl Iterator<Item = &'a Seen>) -> Standing<'a> {
    let there = others.filter(|seen| seen.before && seen.lives(newest_ms));
    match there.max_by_key(|seen| seen.stamp_ms) {
        None => Standing::Alone,
        Some(seen) if newest_ms - first_ms < SILENT_MS => Standing::Waits(seen),
        Some(seen) => Standing::Taken(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: i64 = 100_000;

    fn seen(number: u128, after_first_ms: i64, before: bool) -> Seen {
        let address = format!("http://host{number}");
        Seen { node: Uuid::from_u128(number), address, stamp_ms: FIRST + after_first_ms, before }
    }

    /// What is judged so long after the first heartbeat, and whom it is about.
    fn judged(after_first_ms: i64, others: &[Seen]) -> (&'static str, u128) {
        match standing(FIRST, FIRST + after_first_ms, others.iter()) {
            Standing::Alone => ("alone", 0),
            Standing::Waits(seen) => ("waits", seen.node.as_u128()),
            Standing::Taken(seen) => ("taken", seen.node.as_u128()),
        }
    }

    #[test]
    fn who_is_silent_is_passed_and_who_is_not_is_waited_for_and_then_left_alone() {
        assert_eq!(judged(0, &[]), ("alone", 0));
        assert_eq!(judged(0, &[seen(1, -3_000, true)]), ("alone", 0), "died a while ago");
        assert_eq!(judged(0, &[seen(1, -2_999, true)]), ("waits", 1), "may have died a moment ago");
        assert_eq!(judged(0, &[seen(1, 0, true)]), ("waits", 1));
        assert_eq!(judged(2_999, &[seen(1, 0, true)]), ("waits", 1));
        assert_eq!(judged(3_000, &[seen(1, 0, true)]), ("alone", 0), "said nothing since our first heartbeat");
        assert_eq!(judged(3_000, &[seen(1, 1, true)]), ("taken", 1));
        let three = [seen(1, 0, true), seen(2, 3_000, true), seen(3, 2_000, true)];
        assert_eq!(judged(3_500, &three), ("taken", 2), "one is enough, and the newest is named");
    }

    #[test]
    fn who_came_after_us_waits_for_us() {
        assert_eq!(judged(0, &[seen(1, 0, false)]), ("alone", 0));
        assert_eq!(judged(3_000, &[seen(1, 3_000, false)]), ("alone", 0));
    }
}
