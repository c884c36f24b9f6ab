//! `Rtm`: the websocket half of the gateway.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use teamlog_ingest::Observer;
use teamlog_log::{Entry, Partition};
use teamlog_schemas::{ConversationKind, Event, TeamId, UserId};
use teamlog_state::Team;
use tokio_util::sync::CancellationToken;

use super::{connect, frames::encode, hub::Hub, session};
use crate::{ApiError, Args, Caller, Gateway, Mark, Presence, Realtime, Reply, SocketSink, SocketStream};

/// Sizes and times of the sessions.
#[derive(Clone, Debug)]
pub struct RtmConfig {
    /// Sessions of this gateway; past it `rtm.*` answers 429.
    pub sessions_max: usize,
    /// Sessions of one team between their `rtm.*` and their going live; past it 429.
    pub joining_team_max: usize,
    /// The same of all teams.
    pub joining_max: usize,
    /// Events that wait for one slow session; past it, it leaves live mode and catches up from the log.
    pub queue_max: usize,
    /// Frames that are sent in one go while catching up, and the pause behind them: clients' parsers break on more.
    pub burst_frames: usize,
    /// See `burst_frames`.
    pub burst_pause: Duration,
    /// Messages a user may send over a socket, in the long run a second and at once; none for benches.
    pub messages: Option<(u32, u32)>,
    /// People in a team above which `rtm.start` is lazy unless asked for `full=1`.
    pub lazy_people: usize,
    /// A session that says nothing for so long, though it is pinged every third of it, is dead.
    pub dead_after: Duration,
    /// At most so far apart are `reconnect_url` frames while something is sent.
    pub reconnect_url_every: Duration,
    /// Somebody is away once they have had no socket for so long.
    pub away_after: Duration,
}

impl Default for RtmConfig {
    fn default() -> Self {
        RtmConfig {
            sessions_max: 50_000,
            joining_team_max: 4096,
            joining_max: 16_384,
            queue_max: 256,
            burst_frames: 500,
            burst_pause: Duration::from_millis(100),
            messages: Some((1, 20)),
            lazy_people: 2000,
            dead_after: Duration::from_secs(90),
            reconnect_url_every: Duration::from_secs(30),
            away_after: Duration::from_secs(30),
        }
    }
}

/// The websocket half: sessions, presence, what passes without a log.
pub struct Rtm {
    pub(super) hub: Hub,
    pub(super) config: RtmConfig,
    pub(super) stop: CancellationToken,
    pub(super) next_session: AtomicU64,
    pub(super) open: AtomicUsize,
    pub(super) joining: Mutex<HashMap<TeamId, usize>>,
    /// Single-use tickets that were used, until they have expired anyway.
    pub(super) used: moka::sync::Cache<u64, ()>,
    pub(super) presences: Mutex<HashMap<(TeamId, UserId), Present>>,
}

/// What is known of somebody's presence.
#[derive(Default)]
pub(super) struct Present {
    /// Open sockets.
    pub(super) sockets: usize,
    /// The same as clients were told.
    pub(super) shown: bool,
    pub(super) manual_away: bool,
    /// Who subscribed, by person and session.
    pub(super) watchers: HashSet<UserId>,
}

impl Rtm {
    /// No session yet.
    pub fn new(config: RtmConfig) -> Arc<Rtm> {
        let used = moka::sync::Cache::builder().max_capacity(1_000_000).time_to_live(Duration::from_secs(60)).build();
        Arc::new(Rtm {
            hub: Hub::default(),
            config,
            stop: CancellationToken::new(),
            next_session: AtomicU64::new(1),
            open: AtomicUsize::new(0),
            joining: Mutex::default(),
            used,
            presences: Mutex::default(),
        })
    }

    /// Tells every session to resume elsewhere, and ends once they are closed, or after five seconds.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let closed = async {
            while self.open.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }

    pub(super) fn is_active(&self, team: TeamId, user: UserId) -> bool {
        self.presences.lock().get(&(team, user)).is_some_and(|present| present.shown && !present.manual_away)
    }

    /// A socket more. True if clients must be told that somebody is here.
    pub(super) fn arrived(&self, team: TeamId, user: UserId) -> bool {
        let mut presences = self.presences.lock();
        let present = presences.entry((team, user)).or_default();
        present.sockets += 1;
        !std::mem::replace(&mut present.shown, true) && !present.manual_away
    }

    /// A socket less.
    pub(super) fn departed(&self, team: TeamId, user: UserId) {
        if let Some(present) = self.presences.lock().get_mut(&(team, user)) {
            present.sockets = present.sockets.saturating_sub(1);
        }
    }

    /// Somebody who has had no socket for a while is away. True if clients must be told.
    pub(super) fn gone(&self, team: TeamId, user: UserId) -> bool {
        let mut presences = self.presences.lock();
        let Some(present) = presences.get_mut(&(team, user)) else { return false };
        let gone = present.sockets == 0 && std::mem::replace(&mut present.shown, false) && !present.manual_away;
        if present.sockets == 0 && present.watchers.is_empty() && !present.manual_away {
            presences.remove(&(team, user));
        }
        gone
    }

    /// `watcher` wants to hear of these people from now on, and of nobody else.
    pub(super) fn watch(&self, team: TeamId, watcher: UserId, before: &HashSet<UserId>, ids: &HashSet<UserId>) {
        let mut presences = self.presences.lock();
        for user in before.difference(ids) {
            if let Some(present) = presences.get_mut(&(team, *user)) {
                present.watchers.remove(&watcher);
            }
        }
        for user in ids {
            presences.entry((team, *user)).or_default().watchers.insert(watcher);
        }
    }

    /// Tells those who subscribed.
    pub(super) fn tell_presence(&self, team: &Team, user: UserId) {
        let watchers: Vec<UserId> = match self.presences.lock().get(&(team.id(), user)) {
            Some(present) => present.watchers.iter().copied().collect(),
            None => return,
        };
        let presence = presence_word(self.is_active(team.id(), user));
        let frame = encode(&json!({ "type": "presence_change", "user": user, "presence": presence }));
        for watcher in watchers {
            if let Some(person) = team.person_index(watcher) {
                self.hub.pass_to(team.id(), person, &frame);
            }
        }
    }
}

pub(super) fn presence_word(active: bool) -> &'static str {
    if active { "active" } else { "away" }
}

/// Milliseconds since 1970 by this machine's clock.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Observer for Rtm {
    fn on_entry(&self, partition: Partition, entry: &Arc<Entry<Event>>, team: Option<&Team>) {
        self.hub.on_entry(partition, entry, team);
    }
}

#[async_trait]
impl Realtime for Arc<Rtm> {
    async fn connect(&self, gateway: &Gateway, caller: &Caller, args: &Args) -> Result<Reply, ApiError> {
        connect::connect(self, gateway, caller, args).await
    }

    async fn start(&self, gateway: &Gateway, caller: &Caller, args: &Args) -> Result<Reply, ApiError> {
        connect::start(self, gateway, caller, args).await
    }

    async fn serve(&self, gateway: Gateway, ticket: String, stream: SocketStream, sink: SocketSink) {
        self.open.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("teamlog_rtm_sessions").increment(1);
        session::serve(self, gateway, &ticket, stream, sink).await;
        metrics::gauge!("teamlog_rtm_sessions").decrement(1);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn presence(&self, team: TeamId, user: UserId) -> Presence {
        let presences = self.presences.lock();
        let Some(present) = presences.get(&(team, user)) else { return Presence::default() };
        let active = present.shown && !present.manual_away;
        Presence { active, manual_away: present.manual_away, connections: present.sockets }
    }

    fn set_presence(&self, team: TeamId, user: UserId, away: bool) {
        self.presences.lock().entry((team, user)).or_default().manual_away = away;
        // Who has sessions here is told by the caller's own team, below.
        self.hub.tell_manual(team, user, away);
    }

    fn marked(&self, gateway: &Gateway, team: TeamId, user: UserId, mark: Mark) {
        let gateway = gateway.clone();
        let rtm = self.clone();
        tokio::spawn(async move {
            let Ok(live) = gateway.ingest().team(team).await else { return };
            let team = live.read();
            if let (Some(person), Some(frame)) = (team.person_index(user), marked_frame(&team, &mark)) {
                rtm.hub.pass_to(team.id(), person, &encode(&frame));
            }
        });
    }

    fn sessions(&self, team: TeamId) -> usize {
        self.presences.lock().iter().filter(|((of, _), _)| *of == team).map(|(_, present)| present.sockets).sum()
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
