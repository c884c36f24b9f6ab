//! The memory budget that all sessions that catch up share, for events that their clients have not taken yet.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The time after which a session gives up its bytes if others wait. So slow clients do not keep others from catching
/// up.
const HELD_MAX: Duration = Duration::from_secs(10);
/// The unit of the budget, in bytes.
const UNIT_BYTES: usize = 1024;

/// A bounded number of bytes that many sessions share: a weighted semaphore. Waiters are served in order.
pub(super) struct Room {
    units: u32,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Bytes held until this is dropped.
pub(super) struct Held {
    permit: OwnedSemaphorePermit,
    since: Instant,
}

impl Room {
    pub(super) fn new(bytes_max: usize) -> Room {
        let units = u32::try_from(bytes_max / UNIT_BYTES).unwrap_or(u32::MAX).clamp(1, 1 << 30);
        Room { units, free: Arc::new(Semaphore::new(units as usize)), waiting: AtomicUsize::new(0) }
    }

    /// Takes a number of bytes, if they are free.
    pub(super) fn try_hold(&self, bytes: usize) -> Option<Held> {
        Some(Held::new(self.free.clone().try_acquire_many_owned(self.units_of(bytes)).ok()?))
    }

    /// Waits for a number of bytes, at most the whole budget.
    pub(super) async fn hold(&self, bytes: usize) -> Held {
        let _waiting = Waiting::new(self);
        let permit = self.free.clone().acquire_many_owned(self.units_of(bytes)).await;
        Held::new(permit.expect("nobody closes it"))
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units)
    }
}

impl Held {
    fn new(permit: OwnedSemaphorePermit) -> Held {
        let held = Held { permit, since: Instant::now() };
        metrics::gauge!("teamlog_rtm_catch_up_bytes").increment(held.bytes() as f64);
        held
    }

    /// Returns true if it was held for longer than [`HELD_MAX`] and another session waits.
    pub(super) fn is_overdue(&self, room: &Room) -> bool {
        room.waiting.load(Ordering::Relaxed) > 0 && self.since.elapsed() > HELD_MAX
    }

    /// Returns the number of bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.permit.num_permits() * UNIT_BYTES
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!("teamlog_rtm_catch_up_bytes").decrement(self.bytes() as f64);
    }
}

/// A guard that counts a waiting session until it is dropped.
struct Waiting<'a>(&'a Room);

impl<'a> Waiting<'a> {
    fn new(room: &'a Room) -> Waiting<'a> {
        room.waiting.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("teamlog_rtm_catch_ups_waiting").increment(1);
        Waiting(room)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        metrics::gauge!("teamlog_rtm_catch_ups_waiting").decrement(1);
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn who_finds_no_room_waits_their_turn_and_nobody_waits_for_more_than_there_is() {
        let room = Room::new(10 * UNIT_BYTES);
        let mut first = room.try_hold(8 * UNIT_BYTES).unwrap();
        assert!(room.try_hold(2 * UNIT_BYTES + 1).is_none());
        let mut large = Box::pin(room.hold(1 << 40));
        assert!((&mut large).now_or_never().is_none());
        assert!(room.try_hold(1).is_none(), "it came later");
        assert!(!first.is_overdue(&room));
        first.since -= HELD_MAX * 2;
        assert!(first.is_overdue(&room));
        drop(first);
        let mut all = large.now_or_never().unwrap();
        assert_eq!(all.bytes(), 10 * UNIT_BYTES);
        all.since -= HELD_MAX * 2;
        assert!(!all.is_overdue(&room), "nobody waits for it");
        assert!(room.try_hold(0).is_some(), "who missed nothing never waits");
    }
}
