//! The task of one view on one replica: it gathers what the forwarders bring and applies it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use teamlog_log::{Feed, Offset, Position, TopicPartition};
use teamlog_schemas::Event;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Progress, View,
    forward::{Piece, forward},
};
use crate::projector::{Batch, ProjectError};

/// Entries of one batch, at most (and what its last forwarder brought at once).
const BATCH_ENTRIES_MAX: usize = 5_000;
/// The least time between two batches of one view: at most 20 commits a second.
const BATCH_EVERY: Duration = Duration::from_millis(50);
/// The time that one batch may take before its replica counts as unavailable.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the last batch may take when the process stops.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// The capacity of the channel between the forwarders and the batch. While it is full, the forwarders wait.
const PIECES_MAX: usize = 16;
/// The interval at which a view checks which of its generations is current.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first and the longest wait between attempts while a replica is unavailable. The first is also the wait before the
/// view's positions are read again because another process wrote first.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// An input to a view that follows its sources: a piece from a forwarder, the current generation, or the end.
enum Next {
    Piece(Piece),
    Looked(u32),
    Nothing,
}

/// Why a view stopped following its sources, other than an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Stopping,
    Switched,
    /// This process is assigned other sources now.
    Shared,
}

pub(super) struct Task {
    pub(super) feed: Feed<Event>,
    pub(super) stop: CancellationToken,
    pub(super) view: Arc<View>,
}

impl Task {
    pub(super) async fn run(self) {
        let projector = &self.view.projector;
        let (view, replica) = (projector.name(), projector.replica());
        let mut wait = RETRY_FIRST;
        while !self.stop.is_cancelled() {
            match self.follow().await {
                Ok(Ended::Stopping) => break,
                Ok(Ended::Switched) => info!(view, replica, "a view goes on in a new generation"),
                Ok(Ended::Shared) => {
                    let sources = self.view.sources().len();
                    info!(view, replica, sources, "a view goes on with other sources here");
                }
                Err(error) if error.is_contention() => {
                    // The nodes do not agree yet on which of them follows which source. This ends by itself.
                    debug!(view, replica, %error, "another process of this view was faster");
                    metrics::counter!("teamlog_view_overtaken_total", &self.labels()).increment(1);
                    self.pause(RETRY_FIRST).await;
                }
                Err(error) => {
                    let is_news = self.fails(&error);
                    if let Some(other) = error.other_schema() {
                        // The view continues once a rebuild has switched.
                        other.report();
                        self.pause(LOOK_EVERY).await;
                        continue;
                    }
                    if is_news {
                        wait = RETRY_FIRST;
                        warn!(view, replica, why = %error, "a view cannot go on; it keeps trying");
                    }
                    self.pause(wait).await;
                    wait = (wait * 2).min(RETRY_LAST);
                }
            }
        }
        if tokio::time::timeout(LAST_TIMEOUT, projector.close()).await.is_err() {
            warn!(view, replica, "a view was not closed in time");
        }
    }

    /// Waits before the next attempt; not for sources that are not to be followed any more.
    async fn pause(&self, wait: Duration) {
        let following = self.view.progress.borrow().sources.clone();
        let _ = tokio::time::timeout(wait, self.told_to_end(&following)).await;
    }

    /// Ends once these sources are not to be followed any more, with the reason.
    async fn told_to_end(&self, following: &BTreeSet<TopicPartition>) -> Ended {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ended::Stopping,
            () = self.view.shared_otherwise(following) => Ended::Shared,
        }
    }

    /// Reads and applies entries from the view's own positions on, until the process stops, other sources are assigned, or a
    /// rebuild has switched the view.
    async fn follow(&self) -> Result<Ended, ProjectError> {
        let projector = &self.view.projector;
        let following = self.view.sources();
        self.let_go(&following);
        if following.is_empty() {
            return Ok(self.told_to_end(&following).await);
        }
        // Read the generation first. If the positions are already those of a newer one, the next look notices it.
        let asked = tokio::time::timeout(APPLY_TIMEOUT, async {
            let generation = projector.generation().await?;
            Ok::<_, ProjectError>((generation, projector.positions().await?))
        });
        let (generation, at) = tokio::select! {
            biased;
            ended = self.told_to_end(&following) => return Ok(ended),
            asked = asked => asked.map_err(|_| too_slow())??,
        };
        let (pieces, mut arrived) = mpsc::channel(PIECES_MAX);
        // Forwarders end with this call.
        let mut forwarders = JoinSet::new();
        let stands = |source: &TopicPartition| (*source, at.get(source).copied().unwrap_or(Position::START));
        for (source, from) in following.iter().map(stands) {
            forwarders.spawn(forward(self.feed.clone(), source, from, pieces.clone()));
        }
        drop(pieces);
        self.view.progress.send_modify(|progress| {
            progress.positions = following.iter().map(stands).collect();
            progress.stopped.clear();
        });
        let mut may_commit = Instant::now();
        let mut looks = tokio::time::interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Every source has stopped: none is read further in this generation until the process is restarted.
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
            let next = tokio::select! {
                biased;
                ended = self.told_to_end(&following) => return Ok(ended),
                next = next => next?,
            };
            let first = match next {
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
            let ended = self.gather(&mut batch, &mut arrived, may_commit, &following).await;
            if ended == Some(Ended::Shared) {
                batch.keep(&self.view.sources());
            }
            may_commit = Instant::now() + BATCH_EVERY;
            let patience = if ended == Some(Ended::Stopping) { LAST_TIMEOUT } else { APPLY_TIMEOUT };
            if !batch.entries.is_empty()
                && let Err(why) = self.apply(&batch, patience).await
            {
                // A new generation has other positions, at which this batch cannot be applied.
                let now = tokio::time::timeout(patience, projector.generation()).await;
                return if now.is_ok_and(|now| now.is_ok_and(|now| now != generation)) {
                    Ok(Ended::Switched)
                } else {
                    Err(why)
                };
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Gathers pieces until `until`, and then those that are already queued, without waiting. Ends early if it must stop.
    async fn gather(
        &self,
        batch: &mut Batch,
        arrived: &mut mpsc::Receiver<Piece>,
        until: Instant,
        following: &BTreeSet<TopicPartition>,
    ) -> Option<Ended> {
        let gather = async {
            while batch.entries.len() < BATCH_ENTRIES_MAX
                && let Ok(Some(piece)) = tokio::time::timeout_at(until, arrived.recv()).await
            {
                self.take(batch, piece);
            }
        };
        let ended = tokio::select! {
            biased;
            ended = self.told_to_end(following) => Some(ended),
            () = gather => None,
        };
        while batch.entries.len() < BATCH_ENTRIES_MAX
            && let Ok(piece) = arrived.try_recv()
        {
            self.take(batch, piece);
        }
        ended
    }

    /// Removes sources that other processes follow now from the progress.
    fn let_go(&self, following: &BTreeSet<TopicPartition>) {
        self.view.progress.send_modify(|progress| {
            progress.positions.retain(|source, _| following.contains(source));
            progress.stopped.retain(|source, _| following.contains(source));
            progress.sources = following.clone();
            if following.is_empty() {
                progress.failing = None;
                progress.needs_rebuild = false;
            }
        });
        if following.is_empty() {
            self.show_lag(0);
        }
    }

    /// Shows why it cannot go on. True if that is news.
    fn fails(&self, error: &ProjectError) -> bool {
        let why = error.to_string();
        let needs_rebuild = error.other_schema().is_some();
        metrics::gauge!("teamlog_view_needs_rebuild", &self.labels()).set(f64::from(u8::from(needs_rebuild)));
        let mut is_news = false;
        self.view.progress.send_modify(|progress| {
            is_news = progress.failing.as_ref() != Some(&why);
            progress.failing = Some(why);
            progress.needs_rebuild = needs_rebuild;
        });
        is_news
    }

    /// Clears the view's failure, if there is one, and logs the recovery.
    fn goes_on(&self) {
        let projector = &self.view.projector;
        let failed = |progress: &mut Progress| {
            progress.needs_rebuild = false;
            progress.failing.take().is_some()
        };
        if self.view.progress.send_if_modified(failed) {
            metrics::gauge!("teamlog_view_needs_rebuild", &self.labels()).set(0.0);
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
        let labels = self.labels();
        metrics::histogram!("teamlog_view_apply_seconds", &labels).record(began.elapsed());
        metrics::counter!("teamlog_view_entries_total", &labels).increment(batch.entries.len() as u64);
        self.view.progress.send_modify(|progress| {
            for (source, (_, to)) in &batch.moved {
                progress.positions.insert(*source, *to);
            }
        });
        self.goes_on();
        self.show_lag(batch.moved.iter().map(|(source, (_, to))| lag(&self.feed, *source, to.offset)).sum());
        Ok(())
    }

    fn show_lag(&self, records: u64) {
        metrics::gauge!("teamlog_view_lag_records", &self.labels()).set(records as f64);
    }

    fn labels(&self) -> [(&'static str, String); 2] {
        let projector = &self.view.projector;
        [("view", projector.name().to_owned()), ("replica", projector.replica().to_owned())]
    }
}

fn lag(feed: &Feed<Event>, source: TopicPartition, applied: Offset) -> u64 {
    feed.position(source).offset.0.saturating_sub(applied.0)
}

fn too_slow() -> ProjectError {
    ProjectError::Other("a batch took too long".to_owned())
}
