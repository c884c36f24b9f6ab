//! The service of live teams: loads each once, keeps those in use, forgets the others.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    StreamExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use teamlog_log::{Feed, Offset, Partition, Position};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::{Team, TeamSource};
use tokio_util::sync::CancellationToken;

use super::{
    DirectoryHandle, LiveTeam, TeamsError, load,
    partition::{Observer, PartitionTeams},
};

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
/// The pause before a log that is unavailable is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The service of live teams. Cheap to clone.
#[derive(Clone)]
pub struct Teams {
    inner: Arc<Inner>,
}

type Load = Shared<BoxFuture<'static, Result<Arc<LiveTeam>, TeamsError>>>;

struct Inner {
    feed: Feed<Event>,
    source: Arc<dyn TeamSource<Position>>,
    directory: DirectoryHandle,
    partitions: Vec<PartitionTeams>,
    loads: Mutex<HashMap<TeamId, Load>>,
    observer: Option<Arc<dyn Observer>>,
    config: TeamsConfig,
    clock: AtomicU64,
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
        let partitions = from.iter().zip(0..).map(|(from, number)| PartitionTeams::new(Partition(number), *from));
        let inner = Inner {
            feed,
            source,
            directory,
            partitions: partitions.collect(),
            loads: Mutex::default(),
            observer,
            config,
            clock: AtomicU64::new(0),
        };
        let teams = Teams { inner: Arc::new(inner) };
        for number in 0..from.len() {
            let inner = teams.inner.clone();
            let follow = async move { inner.partitions[number].follow(&inner.feed, inner.observer.as_ref()).await };
            tokio::spawn(stop.clone().run_until_cancelled_owned(follow));
        }
        // In a task at the start, because the log may be unavailable at the first call.
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
            while matches!(here.current(&self.inner.feed).await, Err(TeamsError::Away(_))) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        partitions.for_each_concurrent(AT_ONCE, come).await;
    }

    /// Returns true once everything that earlier processes acknowledged was read. From then on teams can be read while the
    /// log is unavailable.
    pub fn are_current(&self) -> bool {
        self.inner.directory.is_current() && self.inner.partitions.iter().all(PartitionTeams::is_current)
    }

    /// Returns the team. It is loaded if need be, once for all concurrent callers.
    ///
    /// # Errors
    /// All of [`TeamsError`].
    pub async fn get(&self, team: TeamId) -> Result<Arc<LiveTeam>, TeamsError> {
        let partition = self.inner.directory.partition(team).await?.ok_or(TeamsError::NotFound)?;
        self.get_in(partition, team).await
    }

    /// The team, as [`Teams::get`] gives it, of a team that is known to live in a partition.
    ///
    /// # Errors
    /// All of [`TeamsError`].
    pub async fn get_in(&self, number: Partition, team: TeamId) -> Result<Arc<LiveTeam>, TeamsError> {
        let partition = self.inner.partition(number)?;
        partition.current(&self.inner.feed).await?;
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
                    let inner = &teams.inner;
                    let loaded = async {
                        let here = inner.partition(number)?;
                        load::load(&inner.feed, &*inner.source, here, &shard, team).await
                    };
                    let loaded = loaded.await;
                    if loaded.is_ok() {
                        inner.evict();
                    }
                    inner.loads.lock().remove(&team);
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

    /// Waits until the live teams of a partition reflect everything that was in the log at this call.
    ///
    /// # Errors
    /// If the log is unavailable, the partition stops, or it does not reach the end in ten seconds.
    pub async fn come_to_the_end(&self, partition: Partition) -> Result<(), TeamsError> {
        self.inner.partition(partition)?.come_to_the_end(&self.inner.feed).await
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

    /// Returns the position of a partition's fold; [`Position::START`] if there is no such partition.
    pub fn position(&self, partition: Partition) -> Position {
        self.inner.partition(partition).map_or(Position::START, PartitionTeams::position)
    }

    /// Waits until the live teams reflect everything below `offset`, so that a caller whose write was acknowledged there
    /// sees it.
    ///
    /// # Errors
    /// If the partition stops, or does not reach the offset in ten seconds.
    pub async fn wait_for(&self, partition: Partition, offset: Offset) -> Result<(), TeamsError> {
        self.inner.partition(partition)?.wait_for(offset).await
    }

    /// Runs `step` while no event of the partition passes: what it sees and what it registers is one atomic step.
    pub fn join<R>(&self, partition: Partition, step: impl FnOnce(Position) -> R) -> R {
        match self.inner.partition(partition) {
            Ok(here) => here.join(step),
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
}

impl Inner {
    fn partition(&self, partition: Partition) -> Result<&PartitionTeams, TeamsError> {
        self.partitions
            .get(partition.0 as usize)
            .ok_or_else(|| TeamsError::Stopped(format!("no partition {partition}")))
    }

    /// Drops the least recently used teams until the rest fits. A team whose `Arc` is held elsewhere stays.
    fn evict(&self) {
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
