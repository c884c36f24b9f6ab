//! The runner: follows the feed for every view and replica, each at its own pace, and reports each one's progress.
//!
//! ```text
//!   feed --> one forwarder a source --> gather (5,000 entries or 50 ms) --> apply: rows and positions at once
//!                                                                            | error, or other sources assigned:
//!                                                                            | read the positions, continue there
//! ```
//!
//! Several processes may share a view's sources. Their assignment comes from outside, and for a while two processes may
//! follow one source. A compare-and-set of the position lets only one of them commit. The other one reads the view's
//! positions again.

mod forward;
mod lowest;
mod status;
mod task;
mod view;

pub use lowest::lowest_positions;
pub use status::{Progress, ViewStatus, WaitError};

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use teamlog_log::{Feed, Offset, Position, TopicPartition};
use teamlog_schemas::Event;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::projector::Projector;
use task::Task;
use view::View;

/// The runner of a process. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

struct Inner {
    feed: Feed<Event>,
    stop: CancellationToken,
    tasks: TaskTracker,
    views: Mutex<Vec<Arc<View>>>,
}

impl Runner {
    /// Makes a runner without views. Everything that it starts ends when `stop` is cancelled.
    pub fn new(feed: Feed<Event>, stop: CancellationToken) -> Runner {
        Runner { inner: Arc::new(Inner { feed, stop, tasks: TaskTracker::new(), views: Mutex::default() }) }
    }

    /// Starts a view on a replica, with all of its sources. While its database is unavailable, it retries.
    pub fn start(&self, projector: Arc<dyn Projector>) {
        self.run(projector, None);
    }

    /// Starts a view on a replica, with those of its sources that are in `mine`; other processes follow the rest.
    /// When `mine` changes, the gathered entries of the sources that stay are committed, and the view continues from its
    /// durable positions. When the sender of `mine` is dropped, the assignment stays as it is.
    pub fn start_shared(&self, projector: Arc<dyn Projector>, mine: watch::Receiver<BTreeSet<TopicPartition>>) {
        self.run(projector, Some(mine));
    }

    fn run(&self, projector: Arc<dyn Projector>, mine: Option<watch::Receiver<BTreeSet<TopicPartition>>>) {
        let view = Arc::new(View { projector, mine, progress: watch::Sender::default() });
        view.progress.send_modify(|progress| progress.sources = view.sources());
        self.inner.views.lock().push(view.clone());
        let task = Task { feed: self.inner.feed.clone(), stop: self.inner.stop.clone(), view };
        self.inner.tasks.spawn(task.run());
    }

    /// Returns the status of every view on every replica.
    pub fn status(&self) -> Vec<ViewStatus> {
        let views = self.inner.views.lock();
        let status = views.iter().map(|view| {
            let progress = view.progress.borrow().clone();
            ViewStatus {
                view: view.projector.name().to_owned(),
                replica: view.projector.replica().to_owned(),
                sources: progress.sources.iter().copied().collect(),
                progress,
            }
        });
        status.collect()
    }

    /// How far a view has come in a source on each of its replicas, by replica; none where the source is not followed
    /// here.
    pub fn positions(&self, view: &str, source: TopicPartition) -> Vec<(String, Position)> {
        let position = |status: &ViewStatus| status.progress.positions.get(&source).copied().unwrap_or(Position::START);
        let status = self.status().into_iter().filter(|status| status.view == view && status.sources.contains(&source));
        status.map(|status| (status.replica.clone(), position(&status))).collect()
    }

    /// Ends once every replica of a view reflects everything below `offset` of a source.
    ///
    /// # Errors
    /// If the view does not follow that source here, or stops before.
    pub async fn wait_for(&self, view: &str, source: TopicPartition, offset: Offset) -> Result<(), WaitError> {
        let views: Vec<_> = {
            let views = self.inner.views.lock();
            let these = views.iter().filter(|one| one.projector.name() == view);
            these.filter(|one| one.sources().contains(&source)).cloned().collect()
        };
        let not_run = || WaitError::NotRun { view: view.to_owned(), source_partition: source };
        if views.is_empty() {
            return Err(not_run());
        }
        for view in views {
            let mut progress = view.progress.subscribe();
            let reached =
                |progress: &Progress| progress.positions.get(&source).is_some_and(|position| position.offset >= offset);
            // Its task says something in any case when the source is not to be followed any more.
            let is_over = |progress: &Progress| {
                reached(progress) || progress.stopped.contains_key(&source) || !view.sources().contains(&source)
            };
            let seen = progress.wait_for(is_over).await.map_err(|_| not_run())?;
            if let Some(why) = seen.stopped.get(&source) {
                return Err(WaitError::Stopped(why.clone()));
            }
            if !reached(&seen) {
                return Err(not_run());
            }
        }
        Ok(())
    }

    /// Ends once everything that was started has ended and committed; to be called after the token was cancelled.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}
