//! The state that all partitions of one kind of consumer share in this process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use teamlog_cluster::{Clock, Random};
use teamlog_log::Partition;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::{Consumer, JobBudget, World, rate::Pace};

pub(crate) struct Kind<C: Consumer> {
    pub(crate) consumer: C,
    pub(crate) world: World,
    pub(crate) budget: JobBudget,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) pace: Mutex<Pace>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) board: Arc<Board>,
}

impl<C: Consumer> Kind<C> {
    /// Draws from `[0, 1)`.
    pub(crate) fn dice(&self) -> f64 {
        (self.random.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Waits until one more piece of work may begin within the kind's rate. Each that waits has its turn for good.
    pub(crate) async fn turn(&self) {
        let now = Instant::now();
        let at = self.pace.lock().take(now, self.budget.rate);
        if at > now {
            tokio::time::sleep_until(at).await;
        }
    }

    pub(crate) fn failed(&self) {
        metrics::counter!("teamlog_jobs_failures_total", "kind" => C::NAME).increment(1);
    }
}

/// How a kind stands in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionStatus {
    /// True once the consumer's position is known.
    pub(crate) has_begun: bool,
    pub(crate) lag: u64,
    pub(crate) waiting: usize,
    pub(crate) in_flight: usize,
    pub(crate) held: usize,
    pub(crate) parked: usize,
    pub(crate) dead: usize,
    pub(crate) oldest: Duration,
    pub(crate) failing: Option<String>,
}

/// How a kind stands in this process, all its partitions together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindStatus {
    /// The consumer.
    pub kind: String,
    /// The partitions that it follows here.
    pub partitions: usize,
    /// The number of partitions in which the consumer's position is known. From then on no event is left out.
    pub begun: usize,
    /// Records between the low-water marks and the ends of what was read.
    pub lag: u64,
    /// Pieces of work that wait for their turn.
    pub waiting: usize,
    /// Pieces of work that run.
    pub in_flight: usize,
    /// Pieces of work that failed and wait for another try.
    pub held: usize,
    /// Teams whose later work is read again once their earlier work is done.
    pub parked: usize,
    /// Dead letters.
    pub dead: usize,
    /// How long ago the oldest event happened whose work is not done.
    pub oldest: Duration,
    /// Why a partition is not followed, by partition.
    pub failing: BTreeMap<u32, String>,
}

/// The status that each partition reports.
pub(crate) struct Board {
    kind: &'static str,
    /// By partition that is to be followed here.
    by_partition: watch::Sender<BTreeMap<Partition, PartitionStatus>>,
}

impl Board {
    pub(crate) fn new(kind: &'static str) -> Board {
        Board { kind, by_partition: watch::Sender::default() }
    }

    /// These are to be followed here.
    pub(crate) fn expect(&self, partitions: &BTreeSet<Partition>) {
        self.by_partition.send_modify(|by_partition| {
            for partition in partitions {
                by_partition.entry(*partition).or_default();
            }
        });
    }

    pub(crate) fn put(&self, partition: Partition, standing: PartitionStatus) {
        self.by_partition.send_modify(|by_partition| drop(by_partition.insert(partition, standing)));
        self.show();
    }

    /// A partition is not followed.
    pub(crate) fn fail(&self, partition: Partition, why: String) {
        self.by_partition.send_modify(|by_partition| {
            by_partition.entry(partition).or_default().failing = Some(why);
        });
        self.show();
    }

    pub(crate) fn remove(&self, partition: Partition) {
        self.by_partition.send_modify(|by_partition| drop(by_partition.remove(&partition)));
        self.show();
    }

    /// Ends once it is known of each partition how far the consumer has come there.
    pub(crate) async fn begun(&self) {
        let all = |by_partition: &BTreeMap<Partition, PartitionStatus>| by_partition.values().all(|one| one.has_begun);
        // The sender lives as long as `self`.
        let _ = self.by_partition.subscribe().wait_for(all).await;
    }

    pub(crate) fn status(&self) -> KindStatus {
        let by_partition = self.by_partition.borrow();
        let sum = |of: fn(&PartitionStatus) -> usize| by_partition.values().map(of).sum();
        let failing =
            by_partition.iter().filter_map(|(partition, standing)| Some((partition.0, standing.failing.clone()?)));
        KindStatus {
            kind: self.kind.to_owned(),
            partitions: by_partition.len(),
            begun: by_partition.values().filter(|standing| standing.has_begun).count(),
            lag: by_partition.values().map(|standing| standing.lag).sum(),
            waiting: sum(|standing| standing.waiting),
            in_flight: sum(|standing| standing.in_flight),
            held: sum(|standing| standing.held),
            parked: sum(|standing| standing.parked),
            dead: sum(|standing| standing.dead),
            oldest: by_partition.values().map(|standing| standing.oldest).max().unwrap_or_default(),
            failing: failing.collect(),
        }
    }

    fn show(&self) {
        let (status, kind) = (self.status(), self.kind);
        metrics::gauge!("teamlog_jobs_lag", "kind" => kind).set(status.lag as f64);
        metrics::gauge!("teamlog_jobs_waiting", "kind" => kind).set(status.waiting as f64);
        metrics::gauge!("teamlog_jobs_in_flight", "kind" => kind).set(status.in_flight as f64);
        metrics::gauge!("teamlog_jobs_held", "kind" => kind).set(status.held as f64);
        metrics::gauge!("teamlog_jobs_parked_teams", "kind" => kind).set(status.parked as f64);
        metrics::gauge!("teamlog_jobs_dead", "kind" => kind).set(status.dead as f64);
        metrics::gauge!("teamlog_jobs_oldest_seconds", "kind" => kind).set(status.oldest.as_secs_f64());
    }
}
