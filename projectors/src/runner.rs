//! The runner: follows the feed for every view and replica, each at its own pace, and says how far each has come.
//!
//! ```text
//!   feed --> one forwarder a source --> gather (5,000 entries or 50 ms) --> apply: rows and positions at once
//!                                                                            | error: positions anew, from there on
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use teamlog_log::{Body, Entry, Feed, FeedError, Offset, Position, TopicPartition};
use teamlog_schemas::Event;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::projector::{Batch, ProjectError, Projector};

/// Entries of one batch, at most (and what its last forwarder brought at once).
const BATCH_ENTRIES_MAX: usize = 5_000;
/// The least time between two batches of one view: at most 20 commits a second.
const BATCH_EVERY: Duration = Duration::from_millis(50);
/// How long one batch may take before its replica counts as away.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the last batch may take when the process stops.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pieces that wait between the forwarders and the batch: past it the forwarders wait.
const PIECES_MAX: usize = 16;
/// How often a view looks which generation of it is the current one.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The waits between attempts while a replica is away.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// How far one view has come on one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Applied in each source; one that is missing has not begun.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// Sources that are not read on, and why: a person must act.
    pub stopped: BTreeMap<TopicPartition, String>,
    /// Why the last attempt failed, while it is failing.
    pub failing: Option<String>,
}

/// A view on a replica and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// The replica, without credentials.
    pub replica: String,
    /// What it reads.
    pub sources: Vec<TopicPartition>,
    /// How far it has come.
    pub progress: Progress,
}

/// Why waiting for a view ended early.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WaitError {
    /// No such view runs here, or it does not read that source.
    #[error("{view} does not read {source_partition} here")]
    NotRun {
        /// The view.
        view: String,
        /// The source.
        source_partition: TopicPartition,
    },
    /// The source is not read on.
    #[error("{0}")]
    Stopped(String),
}

struct View {
    projector: Arc<dyn Projector>,
    progress: watch::Sender<Progress>,
}

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
    /// A runner of nothing yet; everything that it starts ends with `stop`.
    pub fn new(feed: Feed<Event>, stop: CancellationToken) -> Runner {
        Runner { inner: Arc::new(Inner { feed, stop, tasks: TaskTracker::new(), views: Mutex::default() }) }
    }

    /// Starts to run a view on a replica. With its database away it keeps trying.
    pub fn start(&self, projector: Arc<dyn Projector>) {
        let view = Arc::new(View { projector, progress: watch::Sender::default() });
        self.inner.views.lock().push(view.clone());
        let task = Task { feed: self.inner.feed.clone(), stop: self.inner.stop.clone(), view };
        self.inner.tasks.spawn(task.run());
    }

    /// Every view and replica.
    pub fn status(&self) -> Vec<ViewStatus> {
        let views = self.inner.views.lock();
        let status = views.iter().map(|view| ViewStatus {
            view: view.projector.name().to_owned(),
            replica: view.projector.replica().to_owned(),
            sources: view.projector.sources(),
            progress: view.progress.borrow().clone(),
        });
        status.collect()
    }

    /// How far a view has come in a source on each of its replicas, by replica.
    pub fn positions(&self, view: &str, source: TopicPartition) -> Vec<(String, Position)> {
        let position = |status: &ViewStatus| status.progress.positions.get(&source).copied().unwrap_or(Position::START);
        let status = self.status().into_iter().filter(|status| status.view == view);
        status.map(|status| (status.replica.clone(), position(&status))).collect()
    }

    /// Ends once every replica of a view reflects everything below `offset` of a source.
    ///
    /// # Errors
    /// If the view does not run here, or stops before.
    pub async fn wait_for(&self, view: &str, source: TopicPartition, offset: Offset) -> Result<(), WaitError> {
        let views: Vec<_> = {
            let views = self.inner.views.lock();
            let these = views.iter().filter(|one| one.projector.name() == view);
            these.filter(|one| one.projector.sources().contains(&source)).cloned().collect()
        };
        let not_run = || WaitError::NotRun { view: view.to_owned(), source_partition: source };
        if views.is_empty() {
            return Err(not_run());
        }
        for view in views {
            let mut progress = view.progress.subscribe();
            let reached = |progress: &Progress| {
                progress.positions.get(&source).is_some_and(|position| position.offset >= offset)
                    || progress.stopped.contains_key(&source)
            };
            let seen = progress.wait_for(reached).await.map_err(|_| not_run())?;
            if let Some(why) = seen.stopped.get(&source) {
                return Err(WaitError::Stopped(why.clone()));
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

/// The lowest position of each source among these views: where a feed that serves them all begins. A view that does
/// not answer within `wait` is left out: it reads the log by itself when it is back.
pub async fn lowest_positions(projectors: &[Arc<dyn Projector>], wait: Duration) -> HashMap<TopicPartition, Position> {
    let asked = projectors.iter().map(|projector| async move {
        let positions = match tokio::time::timeout(wait, projector.positions()).await {
            Ok(Ok(positions)) => positions,
            Ok(Err(error)) => {
                warn!(view = projector.name(), %error, "a view does not say how far it has come");
                return HashMap::new();
            }
            Err(_) => {
                let waited_ms = wait.as_millis() as u64;
                warn!(view = projector.name(), waited_ms, "a view does not say how far it has come");
                return HashMap::new();
            }
        };
        let start = |source: &TopicPartition| positions.get(source).copied().unwrap_or(Position::START);
        projector.sources().into_iter().map(|source| (source, start(&source))).collect()
    });
    let mut lowest: HashMap<TopicPartition, Position> = HashMap::new();
    for (source, position) in futures::future::join_all(asked).await.into_iter().flatten() {
        let least = lowest.entry(source).or_insert(position);
        if position.offset < least.offset {
            *least = position;
        }
    }
    lowest
}

/// What a forwarder sends.
enum Piece {
    Entries(TopicPartition, Position, Vec<Arc<Entry<Event>>>),
    /// The source cannot be read on.
    Stopped(TopicPartition, String),
}

/// What comes to a view that follows its sources: something of theirs, the current generation, or nothing more.
enum Next {
    Piece(Piece),
    Looked(u32),
    Nothing,
}

/// Why a view does not follow its sources any more, beside an error.
enum Ended {
    Stopping,
    Switched,
}

struct Task {
    feed: Feed<Event>,
    stop: CancellationToken,
    view: Arc<View>,
}

impl Task {
    async fn run(self) {
        let projector = &self.view.projector;
        let mut wait = RETRY_FIRST;
        while !self.stop.is_cancelled() {
            match self.follow().await {
                Ok(Ended::Stopping) => break,
                Ok(Ended::Switched) => {
                    info!(view = projector.name(), replica = projector.replica(), "a view goes on in a new generation");
                }
                Err(error) => {
                    let why = error.to_string();
                    let mut is_news = false;
                    self.view.progress.send_modify(|progress| {
                        is_news = progress.failing.as_ref() != Some(&why);
                        progress.failing = Some(why.clone());
                    });
                    if is_news {
                        wait = RETRY_FIRST;
                        warn!(
                            view = projector.name(),
                            replica = projector.replica(),
                            why,
                            "a view cannot go on; it keeps trying"
                        );
                    }
                    let _ = self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                    wait = (wait * 2).min(RETRY_LAST);
                }
            }
        }
        if tokio::time::timeout(LAST_TIMEOUT, projector.close()).await.is_err() {
            warn!(view = projector.name(), replica = projector.replica(), "a view was not closed in time");
        }
    }

    /// Reads and applies from the view's own positions until the process stops or the view was built anew.
    async fn follow(&self) -> Result<Ended, ProjectError> {
        let projector = &self.view.projector;
        // The generation first: positions of a newer one would be seen to be of another at the next look.
        let asked = tokio::time::timeout(APPLY_TIMEOUT, async {
            let generation = projector.generation().await?;
            Ok::<_, ProjectError>((generation, projector.positions().await?))
        });
        let Some(asked) = self.stop.run_until_cancelled(asked).await else { return Ok(Ended::Stopping) };
        let (generation, mut at) = asked.map_err(|_| too_slow())??;
        let (pieces, mut arrived) = mpsc::channel(PIECES_MAX);
        // Forwarders end with this call.
        let mut forwarders = JoinSet::new();
        for source in projector.sources() {
            let from = *at.entry(source).or_insert(Position::START);
            forwarders.spawn(forward(self.feed.clone(), source, from, pieces.clone()));
        }
        drop(pieces);
        let known = at.into_iter().collect();
        self.view.progress.send_modify(|progress| {
            progress.positions = known;
            progress.stopped.clear();
        });
        let mut may_commit = Instant::now();
        let mut looks = tokio::time::interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Every source has stopped: nothing more comes in this generation until the process is started anew.
        let mut is_over = false;
        loop {
            let next = async {
                tokio::select! {
                    _ = looks.tick() => {
                        let asked = tokio::time::timeout(APPLY_TIMEOUT, projector.generation()).await;
                        asked.map_err(|_| too_slow())?.map(Next::Looked)
                    }
                    piece = arrived.recv(), if !is_over => Ok(piece.map_or(Next::Nothing, Next::Piece)),
                }
            };
            let Some(next) = self.stop.run_until_cancelled(next).await else { return Ok(Ended::Stopping) };
            let first = match next? {
                Next::Piece(piece) => piece,
                Next::Looked(current) if current != generation => return Ok(Ended::Switched),
                Next::Looked(_) => {
                    self.goes_on();
                    continue;
                }
                Next::Nothing => {
                    is_over = true;
                    continue;
                }
            };
            let mut batch = Batch::default();
            self.take(&mut batch, first);
            let gather = async {
                while batch.entries.len() < BATCH_ENTRIES_MAX
                    && let Ok(Some(piece)) = tokio::time::timeout_at(may_commit, arrived.recv()).await
                {
                    self.take(&mut batch, piece);
                }
            };
            let is_last = self.stop.run_until_cancelled(gather).await.is_none();
            // What is there already costs no time.
            while batch.entries.len() < BATCH_ENTRIES_MAX
                && let Ok(piece) = arrived.try_recv()
            {
                self.take(&mut batch, piece);
            }
            may_commit = Instant::now() + BATCH_EVERY;
            let patience = if is_last { LAST_TIMEOUT } else { APPLY_TIMEOUT };
            if !batch.entries.is_empty()
                && let Err(why) = self.apply(&batch, patience).await
            {
                // A new generation stands elsewhere, and then what was to be applied here does not fit.
                let now = tokio::time::timeout(patience, projector.generation()).await;
                return if now.is_ok_and(|now| now.is_ok_and(|now| now != generation)) {
                    Ok(Ended::Switched)
                } else {
                    Err(why)
                };
            }
            if is_last {
                return Ok(Ended::Stopping);
            }
        }
    }

    /// What failed before does not any more.
    fn goes_on(&self) {
        let projector = &self.view.projector;
        let failed = |progress: &mut Progress| progress.failing.take().is_some();
        if self.view.progress.send_if_modified(failed) {
            info!(view = projector.name(), replica = projector.replica(), "a view goes on");
        }
    }

    fn take(&self, batch: &mut Batch, piece: Piece) {
        let projector = &self.view.projector;
        match piece {
            Piece::Entries(source, from, entries) => batch.extend(source, from, entries),
            Piece::Stopped(source, why) => {
                error!(view = projector.name(), replica = projector.replica(), partition = %source, why, "a view stops following a partition");
                self.view.progress.send_modify(|progress| {
                    progress.stopped.insert(source, why);
                });
            }
        }
    }

    async fn apply(&self, batch: &Batch, patience: Duration) -> Result<(), ProjectError> {
        let projector = &self.view.projector;
        let began = Instant::now();
        tokio::time::timeout(patience, projector.apply(batch)).await.map_err(|_| too_slow())??;
        let labels = [("view", projector.name().to_owned()), ("replica", projector.replica().to_owned())];
        metrics::histogram!("teamlog_view_apply_seconds", &labels).record(began.elapsed());
        metrics::counter!("teamlog_view_entries_total", &labels).increment(batch.entries.len() as u64);
        self.view.progress.send_modify(|progress| {
            for (source, (_, to)) in &batch.moved {
                progress.positions.insert(*source, *to);
            }
        });
        self.goes_on();
        let lag: u64 = batch.moved.iter().map(|(source, (_, to))| lag(&self.feed, *source, to.offset)).sum();
        metrics::gauge!("teamlog_view_lag_records", &labels).set(lag as f64);
        Ok(())
    }
}

fn lag(feed: &Feed<Event>, source: TopicPartition, applied: Offset) -> u64 {
    feed.position(source).offset.0.saturating_sub(applied.0)
}

fn too_slow() -> ProjectError {
    ProjectError::Other("a batch took too long".to_owned())
}

/// Sends a source's entries on, up to the first one that this program cannot read.
async fn forward(feed: Feed<Event>, source: TopicPartition, from: Position, pieces: mpsc::Sender<Piece>) {
    let mut subscriber = feed.subscribe(source, from);
    // Who is ahead waits for the feed, and would wait for ever where the log never was as long.
    while from.offset > feed.position(source).offset {
        match feed.check(source, &from).await {
            Ok(()) => break,
            Err(why) if why.may_pass() => tokio::time::sleep(RETRY_FIRST).await,
            Err(why) => {
                let _ = pieces.send(Piece::Stopped(source, why.to_string())).await;
                return;
            }
        }
    }
    loop {
        let before = subscriber.position();
        match subscriber.next().await {
            Ok(mut entries) => {
                let unreadable = entries.iter().position(|entry| matches!(entry.body, Body::Undecodable(_)));
                let why = unreadable.and_then(|at| match &entries[at].body {
                    Body::Undecodable(why) => Some(format!("offset {}: {why}", entries[at].offset)),
                    _ => None,
                });
                entries.truncate(unreadable.unwrap_or(entries.len()));
                if !entries.is_empty() && pieces.send(Piece::Entries(source, before, entries)).await.is_err() {
                    return;
                }
                if let Some(why) = why {
                    let _ = pieces.send(Piece::Stopped(source, why)).await;
                    return;
                }
            }
            Err(why) if why.may_pass() => tokio::time::sleep(RETRY_FIRST).await,
            Err(FeedError::Stopping) => return,
            Err(why) => {
                let _ = pieces.send(Piece::Stopped(source, why.to_string())).await;
                return;
            }
        }
    }
}
