//! What happens to a cluster, and how long posting stalls because of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rand::{Rng, rngs::StdRng};
use teamlog_tests::{Cluster, ROLES};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    OwnerKilled,
    HomeKilled,
    ProjectorKilled,
    BrokerKilled,
    DatabaseKilled,
    MemcachedKilled,
    OwnerPaused,
    RollingRestart,
}

impl Fault {
    pub(crate) const ALL: [Fault; 8] = [
        Fault::OwnerKilled,
        Fault::HomeKilled,
        Fault::ProjectorKilled,
        Fault::BrokerKilled,
        Fault::DatabaseKilled,
        Fault::MemcachedKilled,
        Fault::OwnerPaused,
        Fault::RollingRestart,
    ];

    /// Happens, and is over once all parts are there again and people post.
    pub(crate) async fn happen(self, cluster: &Cluster, partition: u32, rng: &mut StdRng, stalls: &mut Stalls) {
        let number = rng.random_range(1..=2);
        eprintln!("{self:?}");
        stalls.begin(self);
        let part = match self {
            Fault::OwnerKilled | Fault::OwnerPaused => cluster.owner(partition),
            Fault::HomeKilled => cluster.home(partition),
            Fault::ProjectorKilled => format!("project{number}"),
            Fault::BrokerKilled => format!("kafka{}", rng.random_range(1..=3)),
            Fault::DatabaseKilled => format!("dc{number}"),
            Fault::MemcachedKilled => format!("memcached{number}"),
            Fault::RollingRestart => {
                for part in ROLES {
                    cluster.stop(&[part]).await;
                    stalls.goes_on().await;
                    cluster.start(&[part]).await;
                    stalls.goes_on().await;
                }
                return stalls.end();
            }
        };
        if self == Fault::OwnerPaused {
            cluster.pause(&[&part]).await;
            // Past its take-over: until then nobody can post.
            stalls.goes_on().await;
            cluster.resume(&[&part]).await;
        } else {
            cluster.kill(&[&part]).await;
            stalls.goes_on().await;
            cluster.start(&[&part]).await;
        }
        stalls.goes_on().await;
        stalls.end();
    }
}

/// The longest time between two acknowledgements of a team, by what had happened.
pub(crate) struct Stalls {
    posted: watch::Receiver<usize>,
    now: Arc<Mutex<Option<(Fault, Duration)>>>,
    all: BTreeMap<Fault, Vec<Duration>>,
}

impl Stalls {
    pub(crate) fn watch(posted: watch::Receiver<usize>) -> Stalls {
        let now: Arc<Mutex<Option<(Fault, Duration)>>> = Arc::default();
        let (mut seen, told) = (posted.clone(), now.clone());
        tokio::spawn(async move {
            let mut last = Instant::now();
            while seen.changed().await.is_ok() {
                let gap = last.elapsed();
                last = Instant::now();
                if let Some((_, longest)) = &mut *told.lock().unwrap() {
                    *longest = gap.max(*longest);
                }
            }
        });
        Stalls { posted, now, all: BTreeMap::new() }
    }

    fn begin(&mut self, fault: Fault) {
        *self.now.lock().unwrap() = Some((fault, Duration::ZERO));
    }

    /// Ends once everybody has posted about twice more.
    async fn goes_on(&mut self) {
        let wanted = *self.posted.borrow() + 16;
        self.posted.wait_for(|posted| *posted >= wanted).await.unwrap();
    }

    fn end(&mut self) {
        if let Some((fault, longest)) = self.now.lock().unwrap().take() {
            eprintln!("{fault:?}: posting stalled for {longest:?}");
            self.all.entry(fault).or_default().push(longest);
        }
    }

    pub(crate) fn tell(&self) {
        for (fault, stalls) in &self.all {
            let (count, longest) = (stalls.len(), stalls.iter().max());
            eprintln!("{fault:?}, {count} times: posting stalled for {longest:?} at the most");
        }
    }
}
