//! The runner of a process: which consumers run here, in which partitions, and how they stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use teamlog_cluster::{Clock, Random};
use teamlog_log::{Feed, Partition};
use teamlog_schemas::Event;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::warn;

use crate::{
    Consumer, KindStatus, Ledger, World,
    follow::Follow,
    kind::{Board, Kind, PartitionStatus},
};

/// Before a partition that cannot be followed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Runs consumers. Cheap to clone.
#[derive(Clone)]
pub struct JobRunner {
    inner: Arc<Inner>,
}

struct Inner {
    feed: Feed<Event>,
    ledger: Ledger,
    clock: Clock,
    random: Random,
    stop: CancellationToken,
    tasks: TaskTracker,
    boards: Mutex<Vec<Arc<Board>>>,
}

impl JobRunner {
    /// A runner of nothing yet; all that it starts ends with `stop`.
    pub fn new(feed: Feed<Event>, ledger: Ledger, clock: Clock, random: Random, stop: CancellationToken) -> JobRunner {
        let (tasks, boards) = (TaskTracker::new(), Mutex::default());
        JobRunner { inner: Arc::new(Inner { feed, ledger, clock, random, stop, tasks, boards }) }
    }

    /// Starts to run a consumer in the partitions that are `mine`, as they change. Other processes run it in the others; who
    /// runs it where may be disputed for a while, which costs work that is done twice. Once the sender of `mine` is gone, it
    /// stays as it is.
    pub fn start<C: Consumer>(&self, consumer: C, world: World, mine: watch::Receiver<BTreeSet<Partition>>) {
        let (inner, budget) = (&self.inner, consumer.budget());
        let board = Arc::new(Board::new(C::NAME));
        board.expect(&mine.borrow());
        inner.boards.lock().push(board.clone());
        let kind = Arc::new(Kind {
            consumer,
            world,
            budget,
            in_flight: Arc::new(Semaphore::new(budget.in_flight_max)),
            pace: Mutex::default(),
            clock: inner.clock.clone(),
            random: inner.random.clone(),
            board,
        });
        inner.tasks.spawn(place(inner.clone(), kind, mine));
    }

    /// How each consumer stands here.
    pub fn status(&self) -> Vec<KindStatus> {
        self.inner.boards.lock().iter().map(|board| board.status()).collect()
    }

    /// Ends once it is known how far each consumer has come, in each of its partitions here: no event that happens after that
    /// is left out. With the log away that lasts until it is back.
    pub async fn begun(&self) {
        let boards: Vec<_> = self.inner.boards.lock().clone();
        for board in boards {
            board.begun().await;
        }
    }

    /// Returns the ledger: the consumers' positions and dead letters, as the log holds them.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// Ends once all that was started has ended and written how far it came; to be called after the token was cancelled.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

/// Runs a consumer in each of its partitions.
async fn place<C: Consumer>(inner: Arc<Inner>, kind: Arc<Kind<C>>, mut mine: watch::Receiver<BTreeSet<Partition>>) {
    let mut here: BTreeMap<Partition, (DropGuard, JoinHandle<()>)> = BTreeMap::new();
    // Of partitions that went elsewhere: they end first if they come back.
    let mut leaving: BTreeMap<Partition, JoinHandle<()>> = BTreeMap::new();
    loop {
        let wanted = mine.borrow_and_update().clone();
        kind.board.expect(&wanted);
        let gone: Vec<_> = here.keys().copied().filter(|partition| !wanted.contains(partition)).collect();
        for partition in gone {
            if let Some((stop, task)) = here.remove(&partition) {
                drop(stop);
                leaving.insert(partition, task);
            }
        }
        leaving.retain(|_, task| !task.is_finished());
        for partition in wanted {
            if here.contains_key(&partition) {
                continue;
            }
            let (stop, before) = (inner.stop.child_token(), leaving.remove(&partition));
            let guard = stop.clone().drop_guard();
            let task = run(inner.clone(), kind.clone(), partition, before, stop);
            here.insert(partition, (guard, inner.tasks.spawn(task)));
        }
        tokio::select! {
            () = inner.stop.cancelled() => return,
            changed = mine.changed() => {
                if changed.is_err() {
                    inner.stop.cancelled().await;
                    return;
                }
            }
        }
    }
}

/// Follows a partition until `stop`, again and again where it fails.
async fn run<C: Consumer>(
    inner: Arc<Inner>,
    kind: Arc<Kind<C>>,
    partition: Partition,
    before: Option<JoinHandle<()>>,
    stop: CancellationToken,
) {
    if let Some(before) = before {
        let _ = before.await;
    }
    let mut said = None;
    while !stop.is_cancelled() {
        let begin = Follow::begin(kind.clone(), inner.feed.clone(), inner.ledger.clone(), partition);
        let followed = async {
            let Some(follow) = stop.run_until_cancelled(begin).await else { return Ok(()) };
            let follow = follow?;
            kind.board.put(partition, PartitionStatus { has_begun: true, ..PartitionStatus::default() });
            follow.run(&stop).await
        };
        if let Err(why) = followed.await {
            let why = why.to_string();
            if said.as_ref() != Some(&why) {
                warn!(kind = C::NAME, %partition, why, "a consumer cannot follow a partition; it keeps trying");
            }
            kind.board.fail(partition, why.clone());
            said = Some(why);
            let _ = tokio::time::timeout(TRY_AGAIN, stop.cancelled()).await;
        }
    }
    kind.board.remove(partition);
}
