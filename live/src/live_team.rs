//! A team in memory, with all counted records applied.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{RwLock, RwLockReadGuard};
use teamlog_log::{Partition, Position};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::Team;

/// A team that the feed keeps up to date. Hold the `Arc` for as long as you need that: a team that nobody holds may be
/// dropped and loaded again.
pub struct LiveTeam {
    team: TeamId,
    partition: Partition,
    /// The partition's position, shared by its teams; written only under the write lock of the team whose event it is.
    position: Arc<RwLock<Position>>,
    state: RwLock<Team>,
    /// When it was last asked for, in the service's own count.
    pub(super) used: AtomicU64,
}

impl LiveTeam {
    pub(super) fn new(partition: Partition, position: Arc<RwLock<Position>>, team: Team) -> LiveTeam {
        LiveTeam { team: team.id(), partition, position, state: RwLock::new(team), used: AtomicU64::new(0) }
    }

    /// The id.
    pub fn id(&self) -> TeamId {
        self.team
    }

    /// The partition of `events` that holds it.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The team as it is now. Not to be held across an await, nor while calling [`Teams::join`](super::Teams::join).
    pub fn read(&self) -> TeamGuard<'_> {
        let state = self.state.read();
        // Read under the team's lock: no event of this team can pass between the two.
        let position = *self.position.read();
        TeamGuard { state, position }
    }

    /// Folds its next event in and moves the partition's position in the same step.
    pub(super) fn apply(&self, event: &Arc<Event>, after: Position, then: impl FnOnce(&Team)) {
        let mut state = self.state.write();
        state.apply(event);
        *self.position.write() = after;
        then(&state);
    }

    pub(super) fn touch(&self, count: u64) {
        self.used.store(count, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> usize {
        self.state.read().bytes()
    }
}

/// A team and the position that it reflects: every event before it, none at or after it.
pub struct TeamGuard<'a> {
    state: RwLockReadGuard<'a, Team>,
    position: Position,
}

impl TeamGuard<'_> {
    /// Every event of the partition below is reflected.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl Deref for TeamGuard<'_> {
    type Target = Team;
    fn deref(&self) -> &Team {
        &self.state
    }
}
