//! `Rtm`: the websocket half of the gateway.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use metrics::{Counter, Histogram};
use parking_lot::Mutex;
use serde_json::{Value, json};
use teamlog_live::Observer;
use teamlog_log::{Entry, Partition};
use teamlog_schemas::{ConversationKind, Event, TeamId, UserId};
use teamlog_state::Team;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    connect, homing,
    hub::Hub,
    people::People,
    presence::{self, Presences},
    replay::{Rendered, rendered},
    room::Room,
    session,
};
use crate::{
    ApiError, Caller, ConnectArgs, Gateway, Mark, Presence, Realtime, Reply, SocketSink, SocketStream, StartArgs,
    frames::encode,
};

/// Sizes and times of the sessions.
#[derive(Clone, Debug)]
pub struct RtmConfig {
    /// Sessions of this gateway. Past it, `rtm.*` answers 429, and a socket is told to reconnect.
    pub sessions_max: usize,
    /// Sessions of one team that have not gone live yet. Past it, `rtm.*` answers 429, and a client with a
    /// `reconnect_url` is told to reconnect.
    pub joining_team_max: usize,
    /// Sessions of all teams that have not gone live yet. Past it, new ones are turned away as past `joining_team_max`.
    pub joining_max: usize,
    /// The random delay before a client that reconnects too early is told so.
    pub hold_off: Range<Duration>,
    /// Events that wait for one slow session. Past it, the session leaves live mode and catches up from the log.
    pub queue_max: usize,
    /// Frames that are sent at once while catching up. [`RtmConfig::burst_pause`] follows: clients' parsers break on more.
    pub burst_frames: usize,
    /// The pause after `burst_frames`.
    pub burst_pause: Duration,
    /// Messages a user may send over all their sockets, in the long run a second and at once; none for benches.
    pub messages: Option<(u32, u32)>,
    /// Frames of any kind that one socket may send, in the long run a second and at once: more are dropped; none for
    /// benches.
    pub frames: Option<(u32, u32)>,
    /// People in a team above which `rtm.start` is lazy unless asked for `full=1`.
    pub lazy_people: usize,
    /// The time without a sign of life after which a session is closed. It is pinged at a third of that.
    pub dead_after: Duration,
    /// The longest time between two `reconnect_url` frames while anything is sent.
    pub reconnect_url_every: Duration,
    /// The time without a socket after which a person is away.
    pub away_after: Duration,
    /// Bytes of the log that one session that catches up holds at a time. It reads later events afterwards.
    pub catch_up_bytes_max: usize,
    /// Bytes of the log that all sessions that catch up hold together. Past it, a session waits until others have sent
    /// what they hold.
    pub catch_ups_bytes_max: usize,
    /// Bytes of frames kept for those who catch up on the same events.
    pub rendered_bytes_max: u64,
    /// Bytes of teams' people kept as `rtm.start` gives them.
    pub people_bytes_max: u64,
}

impl Default for RtmConfig {
    fn default() -> Self {
        RtmConfig {
            sessions_max: 50_000,
            joining_team_max: 4096,
            joining_max: 16_384,
            hold_off: Duration::from_millis(200)..Duration::from_secs(3),
            queue_max: 256,
            burst_frames: 500,
            burst_pause: Duration::from_millis(100),
            messages: Some((1, 20)),
            frames: Some((50, 200)),
            lazy_people: 2000,
            dead_after: Duration::from_secs(90),
            reconnect_url_every: Duration::from_secs(30),
            away_after: Duration::from_secs(30),
            catch_up_bytes_max: 4 << 20,
            catch_ups_bytes_max: 256 << 20,
            rendered_bytes_max: 32 << 20,
            people_bytes_max: 64 << 20,
        }
    }
}

/// The websocket half: sessions, presence, and notes that are in no log.
pub struct Rtm {
    pub(super) hub: Hub,
    pub(super) config: RtmConfig,
    pub(super) stop: CancellationToken,
    pub(super) next_session: AtomicU64,
    pub(super) open: AtomicUsize,
    pub(super) joining: Mutex<HashMap<TeamId, usize>>,
    /// Single-use tickets that were used, until they have expired anyway.
    pub(super) used: moka::sync::Cache<u64, ()>,
    pub(super) presences: Presences,
    pub(super) catching_up: Room,
    pub(super) rendered: Rendered,
    pub(super) people: People,
    messages: Option<DefaultKeyedRateLimiter<(TeamId, UserId)>>,
    ticking: AtomicBool,
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
        let used = moka::sync::Cache::builder().max_capacity(1_000_000).time_to_live(Duration::from_secs(60)).build();
        let some = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = |(per_second, burst)| Quota::per_second(some(per_second)).allow_burst(some(burst));
        Arc::new(Rtm {
            hub: Hub::default(),
            stop: CancellationToken::new(),
            next_session: AtomicU64::new(1),
            open: AtomicUsize::new(0),
            joining: Mutex::default(),
            used,
            presences: Presences::new(config.away_after),
            catching_up: Room::new(config.catch_ups_bytes_max),
            rendered: rendered(config.rendered_bytes_max),
            people: People::new(config.people_bytes_max),
            messages: config.messages.map(|rate| RateLimiter::keyed(quota(rate))),
            ticking: AtomicBool::new(false),
            counts: Counts::new(),
            config,
        })
    }

    /// Tells every session to resume on another node, and waits until they are closed, or for five seconds.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let closed = async {
            while self.open.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // And then they say goodbye.
        let _ = tokio::time::timeout(session::SETTLE_MAX + Duration::from_secs(1), closed).await;
    }

    /// Returns true if a user may send another message over their sockets now.
    pub(super) fn may_send(&self, team: TeamId, user: UserId) -> bool {
        self.messages.as_ref().is_none_or(|messages| messages.check_key(&(team, user)).is_ok())
    }

    /// Begins, with the first session, to tell those who subscribed who is here, and those whose team moved. Ends when
    /// the sessions are told to go.
    fn tick(self: &Arc<Self>, gateway: &Gateway) {
        if self.ticking.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(homes) = gateway.homes() {
            let follow = homing::follow(self.clone(), gateway.clone(), homes.clone());
            tokio::spawn(self.stop.clone().run_until_cancelled_owned(follow));
        }
        let rtm = self.clone();
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            let mut ticks = 0u32;
            loop {
                second.tick().await;
                rtm.presences.tick(Instant::now());
                ticks = ticks.wrapping_add(1);
                // A full bucket has the effect of an absent one.
                if let Some(messages) = rtm.messages.as_ref().filter(|_| ticks.is_multiple_of(60)) {
                    messages.retain_recent();
                }
            }
        }));
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Observer for Rtm {
    fn on_entry(&self, partition: Partition, entry: &Arc<Entry<Event>>, team: Option<&Team>) {
        if let Some(event) = entry.event() {
            self.people.note(event);
        }
        self.hub.on_entry(partition, entry, team);
    }
}

#[async_trait]
impl Realtime for Arc<Rtm> {
    async fn connect(&self, gateway: &Gateway, caller: &Caller, args: &ConnectArgs) -> Result<Reply, ApiError> {
        connect::connect(self, gateway, caller, args).await
    }

    async fn start(&self, gateway: &Gateway, caller: &Caller, args: &StartArgs) -> Result<Reply, ApiError> {
        connect::start(self, gateway, caller, args).await
    }

    async fn serve(&self, gateway: Gateway, ticket: String, stream: SocketStream, sink: SocketSink) {
        self.tick(&gateway);
        let _open = Open::new(self);
        session::serve(self, gateway, &ticket, stream, sink).await;
    }

    fn presence(&self, team: TeamId, user: UserId) -> Presence {
        self.presences.of(team, user, Instant::now())
    }

    fn set_presence(&self, team: TeamId, user: UserId, away: bool) {
        self.presences.set_manual(team, user, away);
        let frame = json!({ "type": "manual_presence_change", "presence": presence::word(!away) });
        self.hub.tell(team, user, &encode(&frame));
    }

    fn marked(&self, gateway: &Gateway, team: TeamId, user: UserId, mark: Mark) {
        let gateway = gateway.clone();
        let rtm = self.clone();
        tokio::spawn(async move {
            let Ok(live) = gateway.ingest().team(team).await else { return };
            let frame = marked_frame(&live.read(), &mark);
            if let Some(frame) = frame {
                rtm.hub.tell(team, user, &encode(&frame));
            }
        });
    }

    fn sessions(&self, team: TeamId) -> usize {
        self.hub.sessions(team)
    }
}

/// Counts an open socket until it is dropped.
struct Open<'a>(&'a Rtm);

impl<'a> Open<'a> {
    fn new(rtm: &'a Rtm) -> Self {
        rtm.open.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("teamlog_rtm_sessions").increment(1);
        Open(rtm)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        metrics::gauge!("teamlog_rtm_sessions").decrement(1);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn marked_frame(team: &Team, mark: &Mark) -> Option<Value> {
    let kind = team.conversation(mark.conversation)?.kind;
    let name = match kind {
        ConversationKind::PublicChannel => "channel_marked",
        ConversationKind::PrivateChannel => "group_marked",
        ConversationKind::Mpim => "mpim_marked",
        ConversationKind::Im => "im_marked",
    };
    let mut frame = json!({
        "type": name, "channel": mark.conversation, "ts": mark.ts.to_string(),
        "unread_count": mark.unread, "unread_count_display": mark.unread,
        "num_mentions": mark.mentions, "num_mentions_display": mark.mentions,
        "mention_count": mark.mentions, "mention_count_display": mark.mentions,
        "event_ts": teamlog_schemas::Ts::from_micros(now_ms() * 1000).to_string(),
    });
    if kind == ConversationKind::Im {
        frame["dm_count"] = json!(mark.unread);
    }
    Some(frame)
}
