//! The node's clock, kept within a bound of the broker's.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLock;
use teamlog_schemas::Ts;
use tokio::time::Instant;

/// The most by which a clock may differ from the broker's stamps. Two machines that synchronise their clocks differ by
/// less, and people do not notice an error of this size in the order of messages.
pub const CLOCK_BOUND: Duration = Duration::from_secs(2);

const BOUND_MICROS: i64 = CLOCK_BOUND.as_micros() as i64;

/// The wall clock, kept within [`CLOCK_BOUND`] of the broker's. Cheap to clone.
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

struct Inner {
    wall: Box<dyn Fn() -> Ts + Send + Sync>,
    /// The newest heartbeat of this process that was read back. None until the first one was: there is nothing to compare
    /// with.
    newest: RwLock<Option<Echo>>,
}

/// A heartbeat of this process that was read back. The broker stamped it at some time between `sent` and `read`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    /// The wall clock when the heartbeat was sent.
    pub(super) at: Ts,
    pub(super) sent: Instant,
    pub(super) stamp: Ts,
    pub(super) read: Instant,
}

impl Echo {
    /// Returns the least by which the clock must be ahead of the broker's, in microseconds; negative if it is behind. The
    /// slower the log, the nearer to zero the bound, but it is never wrong.
    fn off_micros(&self) -> i64 {
        let if_stamped_at_once = self.at.micros() - self.stamp.micros();
        let if_stamped_at_last = if_stamped_at_once + micros(self.read.duration_since(self.sent));
        if if_stamped_at_once > 0 { if_stamped_at_once } else { if_stamped_at_last.min(0) }
    }

    /// Returns the latest time that the broker's clock may show, plus the bound. Advances with this machine's monotonic
    /// clock: a log that is unavailable stamps nothing, and that must not stop time.
    fn limit(&self, now: Instant) -> Ts {
        Ts::from_micros(self.stamp.micros() + micros(now.duration_since(self.sent)) + BOUND_MICROS)
    }
}

impl Clock {
    /// Makes a clock from a function that returns the wall time.
    pub fn new(wall: impl Fn() -> Ts + Send + Sync + 'static) -> Clock {
        Clock { inner: Arc::new(Inner { wall: Box::new(wall), newest: RwLock::new(None) }) }
    }

    /// Returns this machine's clock.
    pub fn system() -> Clock {
        Clock::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Ts::from_micros(micros(since))
        })
    }

    /// Returns the current time, at most [`CLOCK_BOUND`] ahead of the broker's stamps.
    pub fn now(&self) -> Ts {
        let wall = (self.inner.wall)();
        let newest = *self.inner.newest.read();
        newest.map_or(wall, |echo| wall.min(echo.limit(Instant::now())))
    }

    /// Returns the least by which this clock must be ahead of the broker's, in microseconds; negative if it is behind. Zero
    /// until a heartbeat was read back.
    pub fn off_micros(&self) -> i64 {
        self.inner.newest.read().map_or(0, |echo| echo.off_micros())
    }

    /// Returns true unless the clock is known to be outside its bound. A node whose clock is outside claims no partition.
    pub fn may_claim(&self) -> bool {
        self.off_micros().abs() <= BOUND_MICROS
    }

    /// Returns the wall clock's time, not limited by the broker's stamps.
    pub(super) fn wall(&self) -> Ts {
        (self.inner.wall)()
    }

    pub(super) fn observe(&self, echo: Echo) {
        *self.inner.newest.write() = Some(echo);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Makes a clock that stands at 1,000 s, after a heartbeat that was stamped at `stamp` and read back after `took`.
    fn observed(stamp: i64, took: i64) -> Clock {
        let clock = Clock::new(|| Ts::from_micros(1_000 * SECOND));
        let read = Instant::now();
        let sent = read - Duration::from_micros(took.unsigned_abs());
        clock.observe(Echo { at: clock.wall(), sent, stamp: Ts::from_micros(stamp), read });
        clock
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_certain_is_held_against_a_clock() {
        for (stamp, took, off, may_claim) in [
            (1_000 * SECOND, 0, 0, true),
            (998 * SECOND, 0, 2 * SECOND, true),
            (998 * SECOND - 1, 0, 2 * SECOND + 1, false),
            // The clock is ahead, however long the heartbeat took to be read back: it was sent before it was stamped.
            (990 * SECOND, 60 * SECOND, 10 * SECOND, false),
            (1_002 * SECOND, 0, -2 * SECOND, true),
            (1_002 * SECOND + 1, 0, -2 * SECOND - 1, false),
            // The record may have waited all that time to be stamped.
            (1_015 * SECOND, 15 * SECOND, 0, true),
            (1_015 * SECOND, 10 * SECOND, -5 * SECOND, false),
        ] {
            let clock = observed(stamp, took);
            assert_eq!((clock.off_micros(), clock.may_claim()), (off, may_claim), "{stamp} {took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_ahead_is_cut_and_goes_on_with_time() {
        let clock = observed(900 * SECOND, 0);
        assert_eq!(clock.now(), Ts::from_micros(902 * SECOND));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Ts::from_micros(905 * SECOND));
        tokio::time::advance(Duration::from_secs(1_000)).await;
        assert_eq!(clock.now(), Ts::from_micros(1_000 * SECOND), "the wall clock itself, once it is not ahead");
        assert_eq!(observed(1_100 * SECOND, 0).now(), Ts::from_micros(1_000 * SECOND), "what is behind is not moved");
    }

    #[test]
    fn with_nothing_to_compare_it_is_the_wall_clock() {
        let clock = Clock::new(|| Ts::from_micros(5));
        assert_eq!((clock.now(), clock.may_claim()), (Ts::from_micros(5), true));
    }
}
