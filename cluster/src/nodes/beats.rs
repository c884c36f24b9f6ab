//! The heartbeats of this process: sent, read back from the log, and compared with its clock.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::BoxFuture;
use teamlog_log::{Appended, Offset};
use teamlog_schemas::Ts;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{Clock, clock::Echo};

/// Heartbeats that may be on their way; more of them than an unavailable log leaves open.
const SENT_MAX: usize = 256;

/// The heartbeats of this process.
#[derive(Default)]
pub(super) struct Beats {
    /// Heartbeats that were sent and not yet read back, oldest first.
    sent: VecDeque<(Ts, Instant)>,
    /// The stamps of the first and newest heartbeat that came back, in milliseconds since 1970.
    span_ms: Option<(i64, i64)>,
    /// The offset of the first one.
    first_at: Option<Offset>,
    clock_is_off: bool,
    /// True while the newest heartbeat is not known to be in the log. It is logged once.
    is_failing: Arc<AtomicBool>,
}

impl Beats {
    /// Notes a heartbeat that is being appended.
    pub(super) fn sent(&mut self, at: Ts, sent: Instant, appended: BoxFuture<'static, Vec<Appended>>) {
        let is_failing = self.is_failing.clone();
        tokio::spawn(async move {
            match appended.await.pop() {
                Some(Appended::Failed(why) | Appended::Unknown(why)) => {
                    if !is_failing.swap(true, Ordering::Relaxed) {
                        warn!(%why, "this node's heartbeats do not come into the log");
                    }
                }
                Some(Appended::At(_)) | None => is_failing.store(false, Ordering::Relaxed),
            }
        });
        self.sent.push_back((at, sent));
        if self.sent.len() > SENT_MAX {
            self.sent.pop_front();
        }
    }

    /// Notes a heartbeat that was read back, and holds the clock to its stamp.
    pub(super) fn read_back(&mut self, at: Ts, offset: Offset, stamp_ms: i64, clock: &Clock) {
        self.first_at.get_or_insert(offset);
        let first = self.span_ms.map_or(stamp_ms, |(first, _)| first);
        self.span_ms = Some((first, stamp_ms));
        // A heartbeat that the log has twice was taken out the first time.
        let Some(place) = self.sent.iter().position(|(sent_at, _)| *sent_at == at) else { return };
        let Some((at, sent)) = self.sent.drain(..=place).next_back() else { return };
        let stamp = Ts::from_micros(stamp_ms.saturating_mul(1_000));
        clock.observe(Echo { at, sent, stamp, read: Instant::now() });
        let off_seconds = clock.off_micros() as f64 / 1e6;
        metrics::gauge!("teamlog_clock_off_seconds").set(off_seconds);
        let is_off = !clock.may_claim();
        if is_off != std::mem::replace(&mut self.clock_is_off, is_off) {
            if is_off {
                error!(
                    off_seconds,
                    "this node's clock is not the brokers': it claims no partition until it is set right"
                );
            } else {
                info!("this node's clock is right again");
            }
        }
    }

    /// Returns the stamps of the first and the newest heartbeat, in milliseconds; none as long as none has come back.
    pub(super) fn span_ms(&self) -> Option<(i64, i64)> {
        self.span_ms
    }

    /// Returns true if an offset is after that of the first heartbeat.
    pub(super) fn began_before(&self, offset: Offset) -> bool {
        self.first_at.is_some_and(|first| first < offset)
    }
}
