//! The fold of each partition, and the handle in front of it.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    StreamExt,
    future::{BoxFuture, Shared},
};
use parking_lot::{Mutex, RwLock};
use teamlog_log::{Body, Entry, Feed, FeedError, Offset, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::{Team, TeamSource};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{DirectoryHandle, LiveTeam, load};

/// Sizes of the service.
#[derive(Clone, Debug)]
pub struct TeamsConfig {
    /// Bytes of teams kept in memory in all; teams in use count but are never dropped.
    pub bytes_max: usize,
}

impl Default for TeamsConfig {
    fn default() -> Self {
        TeamsConfig { bytes_max: 512 << 20 }
    }
}

/// Partitions whose end is asked for at once.
const AT_ONCE: usize = 4;
/// How long to wait before a log that is away is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why a team cannot be had.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TeamsError {
    /// The directory does not know it.
    #[error("no such team")]
    NotFound,
    /// It is registered and has not begun: the second step of making it is still to be done.
    #[error("the team has not begun as of offset {0}")]
    NotBegun(Offset),
    /// Something that it is made of does not answer. It may pass.
    #[error("{0}")]
    Away(String),
    /// Its shard lags further behind than one scan may bridge. It passes when the projector catches up.
    #[error("{0}")]
    TooFar(String),
    /// Its partition cannot be read on: a person must act.
    #[error("{0}")]
    Stopped(String),
}

impl From<FeedError> for TeamsError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::TooFar { .. } => TeamsError::TooFar(error.to_string()),
            _ if error.may_pass() => TeamsError::Away(error.to_string()),
            _ => TeamsError::Stopped(error.to_string()),
        }
    }
}

/// Sees every entry of every partition, in order.
pub trait Observer: Send + Sync + 'static {
    /// Called under the partition's lock, after the event was applied to its team, if that is live. Must be quick and
    /// must not call back into [`Teams`].
    fn on_entry(&self, partition: Partition, entry: &Arc<Entry<Event>>, team: Option<&Team>);
}

/// The service of live teams. Cheap to clone.
#[derive(Clone)]
pub struct Teams {
    pub(super) inner: Arc<Inner>,
}

type Load = Shared<BoxFuture<'static, Result<Arc<LiveTeam>, TeamsError>>>;

pub(super) struct Inner {
    pub(super) feed: Feed<Event>,
    pub(super) source: Arc<dyn TeamSource<Position>>,
    pub(super) directory: DirectoryHandle,
    pub(super) partitions: Vec<PartitionTeams>,
    loads: Mutex<HashMap<TeamId, Load>>,
    observer: OnceLock<Arc<dyn Observer>>,
    config: TeamsConfig,
    clock: AtomicU64,
}

pub(super) struct PartitionTeams {
    pub(super) partition: Partition,
    /// The lock under which the fold moves: whoever holds it sees no event pass.
    pub(super) live: Mutex<HashMap<TeamId, Arc<LiveTeam>>>,
    pub(super) position: Arc<RwLock<Position>>,
    progress: watch::Sender<Offset>,
    stopped: OnceLock<TeamsError>,
    /// Set once the fold has come to where the log ended after this process started: what earlier processes
    /// acknowledged is seen from the first answer on. Whoever starts while the log is away cannot know, and gives none.
    ///
    /// Set once, it is set for good, and the log may go away: teams are had all the same, cold ones from their rows and
    /// the ring, as of the partition's position, which is the end as far as it was read. A caller sees their own last
    /// write: it was acknowledged because the feed had read it, and they waited for the fold. A session misses nothing
    /// and sees nothing of others (invariants 3 and 4), for its team, tail and cursor are all of that one position, and
    /// the feed goes on from exactly there. What another process may append meanwhile is not seen, as it is not while
    /// it is on its way.
    fresh: tokio::sync::OnceCell<()>,
}

impl Teams {
    /// Follows every partition of `events` from where the feed stands, in tasks that end with `stop`.
    pub fn start(
        feed: Feed<Event>,
        source: Arc<dyn TeamSource<Position>>,
        directory: DirectoryHandle,
        from: &[Position],
        config: TeamsConfig,
        observer: Option<Arc<dyn Observer>>,
        stop: &CancellationToken,
    ) -> Teams {
        let partitions = from.iter().zip(0..).map(|(position, number)| PartitionTeams {
            partition: Partition(number),
            live: Mutex::default(),
            position: Arc::new(RwLock::new(*position)),
            progress: watch::Sender::new(position.offset),
            stopped: OnceLock::new(),
            fresh: tokio::sync::OnceCell::new(),
        });
        let inner = Inner {
            feed,
            source,
            directory,
            partitions: partitions.collect(),
            loads: Mutex::default(),
            observer: observer.map_or_else(OnceLock::new, OnceLock::from),
            config,
            clock: AtomicU64::new(0),
        };
        let teams = Teams { inner: Arc::new(inner) };
        for (number, position) in from.iter().enumerate() {
            let fold = teams.clone().fold(number, *position);
            tokio::spawn(stop.clone().run_until_cancelled_owned(fold));
        }
        // Not at the first call, by when the log may be away.
        tokio::spawn(stop.clone().run_until_cancelled_owned(teams.clone().become_current()));
        teams
    }

    /// Brings the directory and every partition to the end once, however long the log takes.
    async fn become_current(self) {
        while matches!(self.inner.directory.current().await, Err(TeamsError::Away(_))) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let partitions = futures::stream::iter(&self.inner.partitions);
        let come = async |here: &PartitionTeams| {
            while matches!(self.come_to_the_end_once(here).await, Err(TeamsError::Away(_))) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        partitions.for_each_concurrent(AT_ONCE, come).await;
    }

    /// Whether all that earlier processes acknowledged has been read, so that teams can be had while the log is away.
    pub fn are_current(&self) -> bool {
        self.inner.directory.is_current() && self.inner.partitions.iter().all(|here| here.fresh.initialized())
    }

    /// The team, loaded if need be: once, however many ask.
    ///
    /// # Errors
    /// All of [`TeamsError`].
    pub async fn get(&self, team: TeamId) -> Result<Arc<LiveTeam>, TeamsError> {
        let number = self.inner.directory.partition(team).await?.ok_or(TeamsError::NotFound)?;
        let partition = self.inner.partition(number)?;
        self.come_to_the_end_once(partition).await?;
        if let Some(live) = partition.live.lock().get(&team) {
            live.touch(self.inner.clock.fetch_add(1, Ordering::Relaxed));
            return Ok(live.clone());
        }
        let load = {
            let mut loads = self.inner.loads.lock();
            let start = || -> Load {
                let teams = self.clone();
                let shard = self.inner.directory.by_team(team).map(|entry| entry.shard).unwrap_or_default();
                let task = tokio::spawn(async move {
                    let loaded = load::load(&teams.inner, number, &shard, team).await;
                    teams.inner.loads.lock().remove(&team);
                    loaded
                });
                let joined = async move {
                    task.await.unwrap_or_else(|_| Err(TeamsError::Away("the load of a team broke off".to_owned())))
                };
                futures::FutureExt::shared(Box::pin(joined))
            };
            loads.entry(team).or_insert_with(start).clone()
        };
        load.await
    }

    /// Ends once a partition has come to where the log ended at the first call.
    async fn come_to_the_end_once(&self, here: &PartitionTeams) -> Result<(), TeamsError> {
        let come = || async {
            let end = self.inner.feed.end(TopicPartition::events(here.partition)).await?;
            self.wait_for(here.partition, end).await
        };
        here.fresh.get_or_try_init(come).await.copied()
    }

    /// Ends once the live teams of a partition reflect all that lies in the log by now: what is not there then was not there
    /// when this was called.
    ///
    /// # Errors
    /// If the log does not answer, or the partition stops or does not come so far in ten seconds.
    pub async fn come_to_the_end(&self, partition: Partition) -> Result<(), TeamsError> {
        let end = self.inner.feed.end(TopicPartition::events(partition)).await?;
        self.wait_for(partition, end).await
    }

    /// The team as of a position that reflects everything below `reflect`; none if it has not begun by then.
    pub async fn snapshot(
        &self,
        team: TeamId,
        partition: Partition,
        reflect: Offset,
    ) -> Result<Option<(Team, Position)>, TeamsError> {
        loop {
            self.wait_for(partition, reflect).await?;
            match self.get(team).await {
                Ok(live) => {
                    let guard = live.read();
                    if guard.position().offset >= reflect {
                        return Ok(Some((guard.clone(), guard.position())));
                    }
                }
                Err(TeamsError::NotBegun(as_of)) if as_of >= reflect => return Ok(None),
                Err(TeamsError::NotBegun(_)) => {}
                Err(why) => return Err(why),
            }
            // A load that ended just before `reflect`: ask again, once it is out of the way.
            tokio::task::yield_now().await;
        }
    }

    /// Counted up to here; [`Position::START`] of a partition that is not there.
    pub fn position(&self, partition: Partition) -> Position {
        self.inner.partition(partition).map_or(Position::START, |p| *p.position.read())
    }

    /// Ends once everything below `offset` is reflected by the live teams: whoever was acknowledged there sees their
    /// own write.
    ///
    /// # Errors
    /// If the partition stops, or has not come so far in ten seconds.
    pub async fn wait_for(&self, partition: Partition, offset: Offset) -> Result<(), TeamsError> {
        let here = self.inner.partition(partition)?;
        let mut progress = here.progress.subscribe();
        let reached = async {
            loop {
                if *progress.borrow_and_update() >= offset {
                    return Ok(());
                }
                if let Some(why) = here.stopped.get() {
                    return Err(why.clone());
                }
                let _ = progress.changed().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reached).await.unwrap_or_else(|_| {
            Err(TeamsError::Away(format!("partition {partition} did not reach offset {offset} in 10 s")))
        })
    }

    /// Runs `step` while no event of the partition passes: what it sees and what it registers is one atomic step.
    pub fn join<R>(&self, partition: Partition, step: impl FnOnce(Position) -> R) -> R {
        match self.inner.partition(partition) {
            Ok(here) => {
                let _no_event_passes = here.live.lock();
                let position = *here.position.read();
                step(position)
            }
            Err(_) => step(Position::START),
        }
    }

    /// The feed beneath.
    pub fn feed(&self) -> &Feed<Event> {
        &self.inner.feed
    }

    /// How many teams are live in all.
    pub fn live_len(&self) -> usize {
        self.inner.partitions.iter().map(|partition| partition.live.lock().len()).sum()
    }

    async fn fold(self, number: usize, from: Position) {
        let here = &self.inner.partitions[number];
        let mut subscriber = self.inner.feed.subscribe(TopicPartition::events(here.partition), from);
        let why = loop {
            match subscriber.next().await {
                Ok(entries) => {
                    if let Err(why) = self.take(here, &entries) {
                        break why;
                    }
                }
                Err(FeedError::Stopping) => return,
                Err(why) if why.may_pass() => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(why) => break TeamsError::Stopped(why.to_string()),
            }
        };
        error!(partition = %here.partition, %why, "the teams of a partition are not followed any more");
        let _ = here.stopped.set(why);
        here.progress.send_modify(|_| {});
    }

    fn take(&self, here: &PartitionTeams, entries: &[Arc<Entry<Event>>]) -> Result<(), TeamsError> {
        let live = here.live.lock();
        let observer = self.inner.observer.get();
        let mut reached = here.position.read().offset;
        let mut outcome = Ok(());
        for entry in entries {
            if let Body::Undecodable(why) = &entry.body {
                outcome = Err(TeamsError::Stopped(format!("offset {}: {why}", entry.offset)));
                break;
            }
            let observe = |team: Option<&Team>| {
                if let Some(observer) = observer {
                    observer.on_entry(here.partition, entry, team);
                }
            };
            let team = entry.event().and_then(|event| Some((event, live.get(&event.team()?)?)));
            match team {
                Some((event, team)) => team.apply(event, entry.after, |team| observe(Some(team))),
                None => {
                    *here.position.write() = entry.after;
                    observe(None);
                }
            }
            reached = entry.after.offset;
        }
        drop(live);
        here.progress.send_replace(reached);
        outcome
    }
}

impl Inner {
    pub(super) fn partition(&self, partition: Partition) -> Result<&PartitionTeams, TeamsError> {
        self.partitions
            .get(partition.0 as usize)
            .ok_or_else(|| TeamsError::Stopped(format!("no partition {partition}")))
    }

    /// Forgets the teams that were not asked for the longest, until the rest fits. A team that somebody holds stays.
    pub(super) fn evict(&self) {
        let mut all: Vec<(u64, usize, usize, TeamId)> = Vec::new();
        let mut bytes = 0;
        for (number, partition) in self.partitions.iter().enumerate() {
            for (team, live) in partition.live.lock().iter() {
                let size = live.bytes();
                bytes += size;
                all.push((live.used.load(Ordering::Relaxed), size, number, *team));
            }
        }
        metrics::gauge!("teamlog_teams_live").set(all.len() as f64);
        metrics::gauge!("teamlog_teams_bytes").set(bytes as f64);
        all.sort_unstable();
        for (_, size, number, team) in all {
            if bytes <= self.config.bytes_max {
                return;
            }
            let mut live = self.partitions[number].live.lock();
            // Nobody can come to hold it meanwhile: it is handed out under this lock only.
            if live.get(&team).is_some_and(|one| Arc::strong_count(one) == 1) {
                live.remove(&team);
                bytes -= size;
            }
        }
    }
}
