//! The live teams of one partition: the position of their fold, and the lock under which it moves.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use teamlog_log::{Body, Entry, Feed, FeedError, Offset, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::Team;
use tokio::sync::{OnceCell, watch};
use tracing::error;

use super::{LiveTeam, TeamsError};

/// The pause before a feed that failed is read again.
const FOLLOW_AGAIN: Duration = Duration::from_millis(200);
/// The longest time that a caller waits for the fold to reach an offset that is in the log.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Sees every entry of every partition, in order.
pub trait Observer: Send + Sync + 'static {
    /// Called under the partition's lock, after the event was applied to its team, if that is live. Must be quick and
    /// must not call back into [`Teams`](crate::Teams).
    fn on_entry(&self, partition: Partition, entry: &Arc<Entry<Event>>, team: Option<&Team>);
}

/// The teams of one partition that are in memory, and the position that all of them reflect.
pub(crate) struct PartitionTeams {
    partition: Partition,
    /// The lock under which the fold moves: no event is applied while it is held.
    pub(crate) live: Mutex<HashMap<TeamId, Arc<LiveTeam>>>,
    position: Arc<RwLock<Position>>,
    progress: watch::Sender<Offset>,
    stopped: OnceLock<TeamsError>,
    /// Set once the fold reached an end of the log that was read after this process started. So the first answer reflects
    /// everything that earlier processes acknowledged. While the log is unavailable at the start, no team is returned.
    ///
    /// Once set, it stays set, even if the log becomes unavailable. Teams can still be read, cold ones from their rows and
    /// the ring, as of the partition's position. A caller sees their own last write: it was acknowledged because the feed
    /// had read it, and the caller waited for the fold. A session misses nothing and sees nothing of others (invariants 3
    /// and 4), because its team, tail and cursor are of that one position, and the feed continues from exactly there.
    /// Records that another process appends meanwhile are not seen, as if they were still in flight.
    fresh: OnceCell<()>,
}

impl PartitionTeams {
    pub(crate) fn new(partition: Partition, from: Position) -> PartitionTeams {
        PartitionTeams {
            partition,
            live: Mutex::default(),
            position: Arc::new(RwLock::new(from)),
            progress: watch::Sender::new(from.offset),
            stopped: OnceLock::new(),
            fresh: OnceCell::new(),
        }
    }

    pub(crate) fn partition(&self) -> Partition {
        self.partition
    }

    /// Returns the position of the fold.
    pub(crate) fn position(&self) -> Position {
        *self.position.read()
    }

    /// A team whose state reflects the partition's position; to be called under the lock `live`.
    pub(crate) fn team(&self, state: Team) -> LiveTeam {
        LiveTeam::new(self.partition, self.position.clone(), state)
    }

    /// Whether [`PartitionTeams::current`] need not wait.
    pub(crate) fn is_current(&self) -> bool {
        self.fresh.initialized()
    }

    /// Waits until the fold reaches the end that the log had at the first call.
    pub(crate) async fn current(&self, feed: &Feed<Event>) -> Result<(), TeamsError> {
        self.fresh.get_or_try_init(|| self.come_to_the_end(feed)).await.copied()
    }

    /// Waits until the fold reaches the end that the log has now.
    pub(crate) async fn come_to_the_end(&self, feed: &Feed<Event>) -> Result<(), TeamsError> {
        let end = feed.end(TopicPartition::events(self.partition)).await?;
        self.wait_for(end).await
    }

    /// Waits until everything below `offset` is reflected.
    pub(crate) async fn wait_for(&self, offset: Offset) -> Result<(), TeamsError> {
        let mut progress = self.progress.subscribe();
        let reached = async {
            loop {
                if *progress.borrow_and_update() >= offset {
                    return Ok(());
                }
                if let Some(why) = self.stopped.get() {
                    return Err(why.clone());
                }
                let _ = progress.changed().await;
            }
        };
        tokio::time::timeout(WAIT_MAX, reached).await.unwrap_or_else(|_| {
            Err(TeamsError::Away(format!("partition {} did not reach offset {offset} in 10 s", self.partition)))
        })
    }

    /// Runs `step` while no event of the partition passes.
    pub(crate) fn join<R>(&self, step: impl FnOnce(Position) -> R) -> R {
        let _no_event_passes = self.live.lock();
        step(self.position())
    }

    /// Folds what the feed gives into the live teams, until the feed stops or the partition cannot be read on.
    pub(crate) async fn follow(&self, feed: &Feed<Event>, observer: Option<&Arc<dyn Observer>>) {
        let mut subscriber = feed.subscribe(TopicPartition::events(self.partition), self.position());
        let why = loop {
            match subscriber.next().await {
                Ok(entries) => {
                    if let Err(why) = self.take(&entries, observer) {
                        break why;
                    }
                }
                Err(FeedError::Stopping) => return,
                Err(why) if why.may_pass() => tokio::time::sleep(FOLLOW_AGAIN).await,
                Err(why) => break TeamsError::Stopped(why.to_string()),
            }
        };
        error!(partition = %self.partition, %why, "the teams of a partition are not followed any more");
        let _ = self.stopped.set(why);
        self.progress.send_modify(|_| {});
    }

    fn take(&self, entries: &[Arc<Entry<Event>>], observer: Option<&Arc<dyn Observer>>) -> Result<(), TeamsError> {
        let live = self.live.lock();
        let mut reached = self.position().offset;
        let mut outcome = Ok(());
        for entry in entries {
            if let Body::Undecodable(why) = &entry.body {
                outcome = Err(TeamsError::Stopped(format!("offset {}: {why}", entry.offset)));
                break;
            }
            let observe = |team: Option<&Team>| {
                if let Some(observer) = observer {
                    observer.on_entry(self.partition, entry, team);
                }
            };
            let team = entry.event().and_then(|event| Some((event, live.get(&event.team()?)?)));
            match team {
                Some((event, team)) => team.apply(event, entry.after, |team| observe(Some(team))),
                None => {
                    *self.position.write() = entry.after;
                    observe(None);
                }
            }
            reached = entry.after.offset;
        }
        drop(live);
        self.progress.send_replace(reached);
        outcome
    }
}
