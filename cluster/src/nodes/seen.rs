//! Judgement of other nodes' heartbeats: pure functions of the broker's stamps.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{Peer, Role};

/// A node is silent once its newest heartbeat is that much older than the newest of who judges, or of anybody. Some
/// heartbeats may be late or lost; what a node did that crashed waits that long for another one.
pub const SILENT_AFTER: Duration = Duration::from_millis(1_500);

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
    /// The stamp of the first heartbeat that was heard of this process. Of two that beat under one id, as with a copied data
    /// directory, the later one is the node: else it would be now this one, now that one.
    pub(super) first_ms: i64,
    /// The stamp of its first heartbeat behind the first one of who judges.
    pub(super) behind_ms: Option<i64>,
    /// All that it said; none of a newer program's, whose heartbeats cannot be read here.
    pub(super) peer: Option<Arc<Peer>>,
    /// Whether it was there before the first heartbeat of who judges. Of two that start at the same time one was.
    pub(super) before: bool,
}

impl Seen {
    /// Whether it lives, to somebody whose newest heartbeat has this stamp.
    pub(super) fn lives(&self, newest_ms: i64) -> bool {
        newest_ms - self.stamp_ms < SILENT_MS
    }
}

impl Seen {
    /// Whether it goes on behind the first heartbeat of who judges. What a process that died had in flight comes close
    /// together; only one that lives is heard for as long as this.
    pub(super) fn goes_on(&self) -> bool {
        self.behind_ms.is_some_and(|behind_ms| self.stamp_ms - behind_ms >= SILENT_MS)
    }

    /// Takes a time in which the log was away for none.
    pub(super) fn pass_over(&mut self, away_ms: i64) {
        self.stamp_ms += away_ms;
        self.behind_ms = self.behind_ms.map(|behind_ms| behind_ms + away_ms);
    }

    /// Whether a process of this role must not be on one log with it: `serve` has its log to itself.
    pub(super) fn excludes(&self, role: Role) -> bool {
        role == Role::Serve || self.peer.as_ref().is_some_and(|peer| peer.role == Role::Serve)
    }
}

/// The decision whether a process that has just started may join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// No live process excludes this one: it may join.
    Free,
    /// This one may have died a moment ago: wait for its next heartbeat.
    Waits(&'a Seen),
    /// This one lives: leave it alone.
    Taken(&'a Seen),
}

/// Judges by the stamps of the first and the newest heartbeat of this process. It has sent heartbeats all the while, so a
/// wait ends once they span [`SILENT_AFTER`]: by then the dead are silent.
pub(super) fn standing<'a>(
    role: Role,
    first_ms: i64,
    newest_ms: i64,
    others: impl Iterator<Item = &'a Seen>,
) -> Standing<'a> {
    let there = others.filter(|seen| seen.before && seen.lives(newest_ms) && seen.excludes(role));
    match there.max_by_key(|seen| seen.stamp_ms) {
        None => Standing::Free,
        Some(seen) if newest_ms - first_ms < SILENT_MS => Standing::Waits(seen),
        Some(seen) => Standing::Taken(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: i64 = 100_000;

    fn seen(number: u128, role: Role, after_first_ms: i64, before: bool) -> Seen {
        let (node, address) = (Uuid::from_u128(number), format!("http://host{number}"));
        let peer = Peer { address: address.clone(), ..Peer::new(node, role) };
        let stamp_ms = FIRST + after_first_ms;
        let (first_ms, behind_ms) = (stamp_ms, (!before).then_some(stamp_ms));
        Seen { node, address, stamp_ms, first_ms, behind_ms, peer: Some(Arc::new(peer)), before }
    }

    fn serve(number: u128, after_first_ms: i64, before: bool) -> Seen {
        seen(number, Role::Serve, after_first_ms, before)
    }

    /// Returns the decision at this time after the first heartbeat, and the node that it names.
    fn judged_as(role: Role, after_first_ms: i64, others: &[Seen]) -> (&'static str, u128) {
        match standing(role, FIRST, FIRST + after_first_ms, others.iter()) {
            Standing::Free => ("free", 0),
            Standing::Waits(seen) => ("waits", seen.node.as_u128()),
            Standing::Taken(seen) => ("taken", seen.node.as_u128()),
        }
    }

    fn judged(after_first_ms: i64, others: &[Seen]) -> (&'static str, u128) {
        judged_as(Role::Serve, after_first_ms, others)
    }

    #[test]
    fn who_is_silent_is_passed_and_who_is_not_is_waited_for_and_then_left_alone() {
        assert_eq!(judged(0, &[]), ("free", 0));
        assert_eq!(judged(0, &[serve(1, -1_500, true)]), ("free", 0), "died a while ago");
        assert_eq!(judged(0, &[serve(1, -1_499, true)]), ("waits", 1), "may have died a moment ago");
        assert_eq!(judged(0, &[serve(1, 0, true)]), ("waits", 1));
        assert_eq!(judged(1_499, &[serve(1, 0, true)]), ("waits", 1));
        assert_eq!(judged(1_500, &[serve(1, 0, true)]), ("free", 0), "said nothing since our first heartbeat");
        assert_eq!(judged(1_500, &[serve(1, 1, true)]), ("taken", 1));
        let three = [serve(1, 0, true), serve(2, 1_500, true), serve(3, 1_000, true)];
        assert_eq!(judged(2_000, &three), ("taken", 2), "one is enough, and the newest is named");
    }

    #[test]
    fn who_came_after_us_waits_for_us() {
        assert_eq!(judged(0, &[serve(1, 0, false)]), ("free", 0));
        assert_eq!(judged(1_500, &[serve(1, 1_500, false)]), ("free", 0));
    }

    #[test]
    fn roles_share_a_log_with_each_other_and_not_with_a_server_of_everything() {
        let ingest = [seen(1, Role::Ingest, 0, true)];
        assert_eq!(judged_as(Role::Gateway, 0, &ingest), ("free", 0), "and nobody waits");
        assert_eq!(judged_as(Role::Ingest, 0, &ingest), ("free", 0));
        assert_eq!(judged_as(Role::Serve, 0, &ingest), ("waits", 1));
        assert_eq!(judged_as(Role::Ingest, 0, &[serve(1, 0, true)]), ("waits", 1));
        let newer = Seen { peer: None, ..serve(1, 0, true) };
        assert_eq!(judged_as(Role::Ingest, 0, std::slice::from_ref(&newer)), ("free", 0));
        assert_eq!(judged_as(Role::Serve, 0, &[newer]), ("waits", 1), "whatever it is");
    }
}
