//! The faults of a cluster.

use std::time::Duration;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};
use teamlog_tests::{Cluster, Direction, ROLES, Trouble};

use crate::{log, mid_batch::Hold, stalls::Stalls, two_owners};

/// How long a network's fault lasts: longer than a silent node is waited for (1.5 s), shorter than a call's deadline.
const TROUBLE_LASTS: Duration = Duration::from_secs(4);

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
    /// Two nodes believe for a minute that they own a partition.
    TwoOwners,
    Network(Trouble, Between),
}

/// The parts between which the network is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Between {
    GatewaysAndOwner,
    GatewaysAndHome,
    /// Any role's process, and all brokers.
    OneAndKafka,
    /// Any role's process, and both servers.
    OneAndDatabases,
}

impl Between {
    const ALL: [Between; 4] =
        [Between::GatewaysAndOwner, Between::GatewaysAndHome, Between::OneAndKafka, Between::OneAndDatabases];

    /// Returns the callers and the parts that they call.
    fn ends(self, cluster: &Cluster, partition: u32, rng: &mut StdRng) -> (Vec<String>, Vec<String>) {
        let all = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        let gateways = || all(&["gateway1", "gateway2"]);
        let mut one = || all(&[*ROLES.choose(rng).unwrap()]);
        match self {
            Between::GatewaysAndOwner => (gateways(), vec![cluster.owner(partition)]),
            Between::GatewaysAndHome => (gateways(), vec![cluster.home(partition)]),
            Between::OneAndKafka => (one(), all(&["kafka1", "kafka2", "kafka3"])),
            Between::OneAndDatabases => (one(), all(&["dc1", "dc2"])),
        }
    }
}

impl Fault {
    const OF_PARTS: [Fault; 8] = [
        Fault::OwnerKilled,
        Fault::HomeKilled,
        Fault::ProjectorKilled,
        Fault::BrokerKilled,
        Fault::DatabaseKilled,
        Fault::MemcachedKilled,
        Fault::OwnerPaused,
        Fault::RollingRestart,
    ];

    /// Returns the faults of a run: each fault of parts `times` times, two owners once, and faults of the network once. If
    /// `times` is 1 these are four of the network's sixteen, each of another kind and between other parts; else all of them.
    pub(crate) fn plan(times: usize, rng: &mut StdRng) -> Vec<Fault> {
        let mut faults: Vec<Fault> = std::iter::repeat_n(Fault::OF_PARTS, times).flatten().collect();
        faults.push(Fault::TwoOwners);
        let lost = if rng.random() { Direction::Calls } else { Direction::Answers };
        let troubles = [Trouble::Cut, Trouble::Delayed, Trouble::OneWay(lost), Trouble::HalfOpen];
        let mut between = Between::ALL;
        between.shuffle(rng);
        for (number, trouble) in troubles.into_iter().enumerate() {
            let chosen = if times > 1 { &between[..] } else { &between[number..=number] };
            faults.extend(chosen.iter().map(|between| Fault::Network(trouble, *between)));
        }
        faults.shuffle(rng);
        faults
    }

    /// Causes the fault, and returns once all parts are up again and people can post.
    pub(crate) async fn happen(self, cluster: &Cluster, partition: u32, rng: &mut StdRng, stalls: &mut Stalls) {
        let number = rng.random_range(1..=2);
        eprintln!("{self:?}");
        stalls.begin(self);
        match self {
            Fault::OwnerKilled => dies(cluster, &cluster.owner(partition), stalls).await,
            Fault::HomeKilled => dies(cluster, &cluster.home(partition), stalls).await,
            Fault::BrokerKilled => dies(cluster, &format!("kafka{}", rng.random_range(1..=3)), stalls).await,
            Fault::DatabaseKilled => dies(cluster, &format!("dc{number}"), stalls).await,
            Fault::MemcachedKilled => dies(cluster, &format!("memcached{number}"), stalls).await,
            Fault::ProjectorKilled => {
                let mut hold = Hold::on(cluster, &format!("dc{number}")).await;
                let part = hold.caught(cluster, partition).await;
                cluster.kill(&[&part]).await;
                hold.release().await;
                stalls.goes_on().await;
                cluster.start(&[&part]).await;
            }
            Fault::OwnerPaused => {
                let (part, before) = log::written_by_its_owner(cluster, partition).await;
                cluster.pause(&[&part]).await;
                // Past its take-over: until then nobody can post.
                stalls.goes_on().await;
                cluster.resume(&[&part]).await;
                stalls.goes_on().await;
                log::was_taken_over(cluster, partition, &before, &part).await;
            }
            Fault::RollingRestart => {
                for part in ROLES {
                    cluster.stop(&[part]).await;
                    stalls.goes_on().await;
                    cluster.start(&[part]).await;
                    stalls.goes_on().await;
                }
            }
            Fault::TwoOwners => two_owners::for_a_minute(cluster, partition).await,
            Fault::Network(trouble, between) => {
                let (callers, parts) = between.ends(cluster, partition, rng);
                let disturbed = cluster.disturb(&callers, &parts, trouble);
                tokio::time::sleep(TROUBLE_LASTS).await;
                let met = if disturbed.was_met() { "was met" } else { "was not met" };
                eprintln!("{trouble:?} from {callers:?} to {parts:?} {met}");
            }
        }
        stalls.goes_on().await;
        stalls.end();
    }
}

async fn dies(cluster: &Cluster, part: &str, stalls: &mut Stalls) {
    cluster.kill(&[part]).await;
    stalls.goes_on().await;
    cluster.start(&[part]).await;
}
