//! The directory in this process, kept true by the feed.

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use teamlog_log::{Body, Feed, FeedError, Offset, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::{Directory, DirectoryEntry, DirectoryRows};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::TeamsError;

/// The directory. Cheap to clone.
#[derive(Clone)]
pub struct DirectoryHandle {
    feed: Feed<Event>,
    directory: Arc<RwLock<Directory>>,
    progress: Arc<watch::Sender<Offset>>,
    /// Set once the directory reached an end of the log that was read after this process started.
    fresh: Arc<OnceCell<()>>,
}

impl DirectoryHandle {
    /// Follows the topic `directory` from the position of `rows` on, in a task that ends with `stop`.
    pub fn start(feed: &Feed<Event>, rows: DirectoryRows, from: Position, stop: CancellationToken) -> DirectoryHandle {
        let handle = DirectoryHandle {
            feed: feed.clone(),
            fresh: Arc::default(),
            directory: Arc::new(RwLock::new(Directory::from_rows(rows))),
            progress: Arc::new(watch::Sender::new(from.offset)),
        };
        let mut subscriber = feed.subscribe(TopicPartition::DIRECTORY, from);
        let follower = handle.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            loop {
                match subscriber.next().await {
                    Ok(entries) => {
                        let mut directory = follower.directory.write();
                        for entry in &entries {
                            match &entry.body {
                                Body::Event(event) => directory.apply(event, entry.offset.0),
                                Body::Undecodable(why) => {
                                    error!(%why, offset = %entry.offset, "the directory holds an event that this version cannot read; new teams are not seen from here on");
                                    return;
                                }
                                _ => {}
                            }
                        }
                        drop(directory);
                        follower.progress.send_replace(subscriber.position().offset);
                    }
                    Err(why) if why.may_pass() => tokio::time::sleep(Duration::from_millis(200)).await,
                    Err(FeedError::Stopping) => return,
                    Err(why) => return error!(%why, "the directory is not followed any more"),
                }
            }
        }));
        handle
    }

    /// Returns this handle once it reflects everything that was acknowledged before this process started. Waits only until
    /// that was reached once.
    ///
    /// # Errors
    /// [`TeamsError::Away`] if it is not there in time.
    pub async fn current(&self) -> Result<&DirectoryHandle, TeamsError> {
        self.fresh.get_or_try_init(|| self.come_to_the_end()).await?;
        Ok(self)
    }

    /// Waits until the directory reflects everything that was acknowledged anywhere before this call.
    ///
    /// # Errors
    /// [`TeamsError::Away`] if it is not there in time.
    async fn come_to_the_end(&self) -> Result<(), TeamsError> {
        let end = self.feed.end(TopicPartition::DIRECTORY).await?;
        self.wait_for(end).await
    }

    /// Whether [`DirectoryHandle::current`] need not wait.
    pub(crate) fn is_current(&self) -> bool {
        self.fresh.initialized()
    }

    /// Returns a team's entry. If none is found, the log is first read to its end: so a team that was created through
    /// another node can be used through this one at once.
    ///
    /// # Errors
    /// [`TeamsError::Away`] if that cannot be known in time.
    pub async fn find(&self, team: TeamId) -> Result<Option<DirectoryEntry>, TeamsError> {
        self.look_up(|| self.by_team(team)).await
    }

    /// Returns the partition that a team lives in, without a copy of its entry. Reads to the log's end as
    /// [`DirectoryHandle::find`] does. Every call asks for this.
    ///
    /// # Errors
    /// [`TeamsError::Away`] if that cannot be known in time.
    pub async fn partition(&self, team: TeamId) -> Result<Option<Partition>, TeamsError> {
        let look = || self.with(|directory| directory.by_team(team).map(|entry| Partition(entry.partition)));
        self.look_up(look).await
    }

    /// Returns the entry of a domain's team. Reads to the log's end as [`DirectoryHandle::find`] does.
    ///
    /// # Errors
    /// [`TeamsError::Away`] if that cannot be known in time.
    pub async fn find_domain(&self, domain: &str) -> Result<Option<DirectoryEntry>, TeamsError> {
        self.look_up(|| self.by_domain(domain)).await
    }

    /// Looks once, and again at the log's end if nothing was found.
    async fn look_up<T>(&self, look: impl Fn() -> Option<T>) -> Result<Option<T>, TeamsError> {
        self.current().await?;
        if let Some(found) = look() {
            return Ok(Some(found));
        }
        self.come_to_the_end().await?;
        Ok(look())
    }

    /// Returns the entry of a domain's team, as far as this node has read.
    pub fn by_domain(&self, domain: &str) -> Option<DirectoryEntry> {
        self.directory.read().by_domain(domain).cloned()
    }

    /// Returns a team's entry, as far as this node has read.
    pub fn by_team(&self, team: TeamId) -> Option<DirectoryEntry> {
        self.directory.read().by_team(team).cloned()
    }

    /// Returns every entry, in no order.
    pub fn entries(&self) -> Vec<DirectoryEntry> {
        self.directory.read().entries().cloned().collect()
    }

    /// Calls `look` with the directory locked for reading. Keep it short.
    pub fn with<R>(&self, look: impl FnOnce(&Directory) -> R) -> R {
        look(&self.directory.read())
    }

    /// Waits until everything below `offset` is reflected.
    ///
    /// # Errors
    /// [`TeamsError::Away`] after five seconds.
    pub async fn wait_for(&self, offset: Offset) -> Result<(), TeamsError> {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|reached| *reached >= offset);
        match tokio::time::timeout(Duration::from_secs(5), reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(TeamsError::Away(format!("the directory did not reach offset {offset} in 5 s"))),
        }
    }
}
