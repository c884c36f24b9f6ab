//! `Rtm`: the state that all sessions share.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics::{Counter, Histogram};
use serde_json::json;
use teamlog_live::Observer;
use teamlog_log::{Entry, Partition};
use teamlog_schemas::{Event, TeamId, UserId};
use teamlog_state::Team;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    admission::Admission,
    config::RtmConfig,
    hub::Hub,
    pace::Messages,
    people::People,
    presence::{self, Presence, Presences},
    rendered::{Rendered, rendered},
    room::Room,
    ticket::TICKET_MS,
};
use crate::frames::encode;

/// Used tickets that are remembered. Past it, the ones used longest ago are forgotten before they expire.
const USED_MAX: u64 = 1_000_000;
/// How long a used ticket is remembered: longer than it is valid ([`TICKET_MS`]), with clocks that differ.
const USED_FOR: Duration = Duration::from_secs(60);
const _: () = assert!(USED_FOR.as_millis() > TICKET_MS as u128);

/// How long a session that ends waits for the outcomes of its messages. If a writer takes longer, the outcome is unknown
/// anyway: the log or the partition's owner is unavailable; the latter is noticed sooner.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(4);

/// The websocket half of a gateway: sessions, presence, and notes that are in no log.
pub struct Rtm {
    pub(super) config: RtmConfig,
    pub(super) stop: CancellationToken,
    pub(super) admission: Admission,
    /// Single-use tickets that were used, until they have expired anyway.
    pub(super) used: moka::sync::Cache<u64, ()>,
    pub(super) hub: Hub,
    pub(super) presences: Presences,
    pub(super) catching_up: Room,
    pub(super) rendered: Rendered,
    pub(super) people: People,
    pub(super) messages: Messages,
    /// True once the tasks that all sessions share have begun.
    pub(super) has_upkeep: AtomicBool,
    pub(super) counts: Counts,
}

/// Metrics that sessions update at each wake-up. They are resolved by name once, not each time.
pub(super) struct Counts {
    pub(super) frames: Counter,
    pub(super) queue_depth: Histogram,
    pub(super) catch_ups: Counter,
}

impl Counts {
    /// Resolves the metrics with the recorder that is installed now.
    fn new() -> Counts {
        Counts {
            frames: metrics::counter!("teamlog_rtm_frames_total"),
            queue_depth: metrics::histogram!("teamlog_rtm_queue_depth"),
            catch_ups: metrics::counter!("teamlog_rtm_catch_ups_total"),
        }
    }
}

impl Rtm {
    /// Builds the service without sessions. The recorder of metrics must be installed before.
    pub fn new(config: RtmConfig) -> Arc<Rtm> {
        Arc::new(Rtm {
            stop: CancellationToken::new(),
            admission: Admission::new(&config),
            used: moka::sync::Cache::builder().max_capacity(USED_MAX).time_to_live(USED_FOR).build(),
            hub: Hub::default(),
            presences: Presences::new(config.away_after),
            catching_up: Room::new(config.catch_ups_bytes_max),
            rendered: rendered(config.rendered_bytes_max),
            people: People::new(config.people_bytes_max),
            messages: Messages::new(config.messages),
            has_upkeep: AtomicBool::new(false),
            counts: Counts::new(),
            config,
        })
    }

    /// Tells every session to resume on another node, and waits until they are closed, or for five seconds.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let closed = async {
            while self.admission.open_len() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // And then they say goodbye.
        let _ = tokio::time::timeout(SETTLE_MAX + Duration::from_secs(1), closed).await;
    }

    /// Returns a person's presence, as far as this gateway knows.
    pub(crate) fn presence(&self, team: TeamId, user: UserId) -> Presence {
        self.presences.of(team, user, Instant::now())
    }

    /// Sets a person away, or lets their sockets decide again.
    pub(crate) fn set_presence(&self, team: TeamId, user: UserId, away: bool) {
        self.presences.set_manual(team, user, away);
        let frame = json!({ "type": "manual_presence_change", "presence": presence::word(!away) });
        self.hub.tell(team, user, &encode(&frame));
    }

    /// Returns how many sessions are open on a team here.
    pub(crate) fn sessions(&self, team: TeamId) -> usize {
        self.hub.sessions(team)
    }
}

impl Observer for Rtm {
    fn on_entry(&self, partition: Partition, entry: &Arc<Entry<Event>>, team: Option<&Team>) {
        if let Some(event) = entry.event() {
            self.people.note(event);
        }
        self.hub.on_entry(partition, entry, team);
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
