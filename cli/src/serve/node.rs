//! The parts of a process, put together and taken apart again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use teamlog_cluster::{Clock, Internal, Link, Membership, Random, Role};
use teamlog_consumers::World;
use teamlog_gateway::{
    Gateway, GatewayParts, Homes, Vault,
    read::{LocalIndex, MessageIndex, RemoteIndex, Searchers},
};
use teamlog_ingest::{Ingest, IngestParts, Writing, http::RemoteWriters};
use teamlog_log::{Feed, Partition, Position, TopicPartition};
use teamlog_projectors::{Mains, Projector, Runner, Shards, cache, lowest_positions, names};
use teamlog_schemas::Event;
use teamlog_state::{At, DirectoryRows};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::{
    door::{Joined, Ports},
    founding::{found, known, ours_if_founded},
    health::Parts,
    place::Place,
    servers::Servers,
    settings::Start,
    work::Work,
};
use crate::parts::{feed, sources, views};

/// How long a view's database may take to say where it stands before the start goes on without it.
const VIEWS_WAIT: Duration = Duration::from_secs(3);
/// How long drains may take at a stop.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// How long others may take to take over what this node did before it stops all the same.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);
/// Between two looks whether they have.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The pause before the end of an unavailable log is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The size limit of the cache in this process, in bytes. With `[cache] servers` there is no such cache.
const LOCAL_CACHE_BYTES: u64 = 64 << 20;

/// Everything that runs.
pub(super) struct Node {
    role: Role,
    place: Place,
    feed: Feed<Event>,
    shards: Shards,
    runner: Runner,
    work: Option<Work>,
    tasks: TaskTracker,
    ingest: Ingest,
    clock: Clock,
    servers: Servers,
    stop_all: CancellationToken,
    stop_feed: CancellationToken,
}

impl Node {
    /// Starts everything but what serves: neither clients nor other nodes are answered yet.
    ///
    /// # Errors
    /// If the views do not belong to this log, or the arguments name a view that does not exist.
    pub(super) async fn start(start: Start<'_>, joined: Joined, metrics: PrometheusHandle) -> anyhow::Result<Node> {
        let Joined { partitions, nodes } = joined;
        let role = start.role();
        let place = Place::new(nodes, start.node_id);
        let members = place.members();
        let (stop_all, stop_feed) = (CancellationToken::new(), CancellationToken::new());
        let (shards, mains) = views(start.config, start.data, partitions)?;
        let mut projectors = shards.projectors();
        projectors.extend(mains.projectors());
        let (directory, from) = positions(&projectors, &mains, partitions).await;
        shards.check(directory.rows.entries.iter())?;
        let events = (0..partitions).map(|number| TopicPartition::events(Partition(number)));
        let at =
            |source| from.iter().find(|(one, _)| *one == source).map_or(Position::START, |(_, position)| *position);
        let event_positions = events.map(at).collect();
        let feed = feed(start.log.shared(), start.config.log.feed(), from, stop_feed.clone());
        shards.follow(&feed);

        let link = Link::new(&start.secrets);
        let (rtm, tasks, placement) = (start.rtm(), TaskTracker::new(), shards.clone());
        let writing = match role {
            Role::Serve | Role::Ingest => Writing::Here(members.clone()),
            Role::Gateway | Role::Project | Role::Work => {
                Writing::Elsewhere(Arc::new(RemoteWriters::new(members.clone(), link.clone())))
            }
        };
        let ingest = Ingest::start(
            IngestParts {
                feed: feed.clone(),
                source: Arc::new(shards.clone()),
                directory: (directory.rows, directory.position),
                from: event_positions,
                shard_of: Arc::new(move |partition| {
                    placement.shard_of(Partition(partition)).unwrap_or_default().to_owned()
                }),
                secrets: start.secrets.clone(),
                node: start.node_id,
                clock: start.clock.clone(),
                random: Random::system(),
                writing,
                observer: Some(rtm.clone()),
                config: start.ingest_config(),
            },
            &tasks,
            &stop_all,
        );
        let runner = Runner::new(feed.clone(), stop_all.child_token());
        let built = start.views()?;
        for projector in projectors.into_iter().filter(|projector| built.iter().any(|view| view == projector.name())) {
            match role {
                Role::Serve => runner.start(projector),
                _ => {
                    let mine = mine(&members, &*projector, &stop_all);
                    runner.start_shared(projector, mine);
                }
            }
        }
        let search = built.iter().any(|view| view == names::SEARCH).then(|| start.search()).flatten();
        // The start does not wait for the index's position: entries before the feed's begin it reads from the log itself.
        if let Some(search) = &search {
            runner.start(search.projector((0..partitions).map(Partition)));
        }
        if let Place::Among(nodes) = &place {
            let ingest = ingest.clone();
            nodes.tell(move || ingest.writes());
        }
        let (clock, stop) = (start.clock.clone(), &stop_feed);
        let work = Work::prepare(start.config, start.part, clock, &feed, partitions, stop)?;
        let health = Arc::new(Parts {
            role,
            jobs: work.as_ref().map(|work| work.runner().clone()),
            members: members.clone(),
            runner: runner.clone(),
            ingest: ingest.clone(),
            clock: start.clock.clone(),
            partitions,
        });
        let index: Option<Arc<dyn MessageIndex>> = match (role, search) {
            (Role::Gateway, _) => Some(Arc::new(RemoteIndex::new(Arc::new(link.clone()), searchers(members.clone())))),
            (_, Some(search)) => Some(Arc::new(LocalIndex::new(search, feed.clone()))),
            (_, None) => None,
        };
        let gateway = matches!(role, Role::Serve | Role::Gateway).then(|| {
            Gateway::new(GatewayParts {
                ingest: ingest.clone(),
                shards: shards.clone(),
                cache: cache(&start.config.cache.servers, LOCAL_CACHE_BYTES),
                feed: feed.clone(),
                rtm: rtm.clone(),
                homes: (role == Role::Gateway).then(|| Homes::new(members.clone(), link)),
                search: index.clone(),
                credentials: Some(Vault::new(ingest.clone(), shards.clone(), feed.clone())),
                jobs: work.as_ref().map(Work::desk),
                health: health.clone(),
                metrics: Some(metrics.clone()),
                config: start.gateway_config(),
            })
        });
        let calls = match (role, &gateway) {
            (Role::Ingest, _) => teamlog_ingest::http::commands(ingest.writers().clone()),
            (_, Some(gateway)) => teamlog_gateway::internal(gateway.clone()),
            (_, None) => index.map(teamlog_gateway::search_service).unwrap_or_default(),
        };
        let open = teamlog_gateway::ops(health, Some(metrics));
        let internal = (role != Role::Serve).then(|| Internal::new(calls, open, start.secrets.clone()));
        Ok(Node {
            role,
            place,
            feed,
            shards,
            runner,
            work,
            tasks,
            ingest,
            clock: start.clock,
            servers: Servers::new(gateway, internal, rtm),
            stop_all,
            stop_feed,
        })
    }

    /// Ends once this process may serve, which who writes must have begun to do: somebody has to found the cluster.
    ///
    /// # Errors
    /// With the reason why it must not serve the cluster.
    pub(super) async fn may_serve(&self) -> anyhow::Result<()> {
        ours_if_founded(&self.ingest).await?;
        if matches!(self.role, Role::Serve | Role::Ingest) {
            self.take_part().await;
        }
        known(&self.ingest, &self.clock).await
    }

    /// Answers clients and other nodes, and may be chosen from now on.
    pub(super) async fn serve(&mut self, ports: Ports) -> anyhow::Result<()> {
        if let Some(work) = &mut self.work {
            let world = World::new(self.ingest.clone(), self.shards.clone());
            work.begin(&world, self.role, &self.place.members()).await;
        }
        self.servers.start(ports)?;
        if matches!(self.role, Role::Gateway | Role::Project | Role::Work) {
            self.take_part().await;
        }
        Ok(())
    }

    /// Takes part in placement. With a role on a shared log it first reads to the log's end, so that it can begin at once
    /// when it is chosen.
    async fn take_part(&self) {
        if self.role != Role::Serve {
            for source in self.feed.partitions().collect::<Vec<_>>() {
                let end = loop {
                    match self.feed.log().end(source).await {
                        Ok(end) => break end,
                        Err(_) => tokio::time::sleep(ASK_AGAIN).await,
                    }
                };
                // A partition that cannot be read is reported elsewhere, and does not stop the others.
                let _ = self.feed.wait_for(source, end).await;
            }
        }
        self.place.take_part();
    }

    /// Founds the cluster if needed. Returns only if this process must not serve it, with the reason.
    pub(super) async fn refusal(&self) -> anyhow::Error {
        tokio::select! {
            why = found(self.ingest.clone(), self.shards.clone()) => why,
            why = self.place.refused() => why.into(),
        }
    }

    /// Shuts down in this order: leave placement and hand the partitions over; refuse new work, tell sessions to resume,
    /// drain the writers, commit the views. The log may be closed after that.
    pub(super) async fn stop(mut self) {
        if self.role != Role::Serve {
            self.place.leave_to_others();
            if tokio::time::timeout(HAND_OVER_WAIT, self.handed_over()).await.is_err() {
                warn!("nobody took over all that this node did; it stops all the same");
            }
        }
        // What calls under way need is there until they have ended: clients', and those that other gateways passed on.
        self.servers.end_clients(self.role == Role::Gateway).await;
        // What they hand in is the writers' to carry out, here or elsewhere.
        if let Some(work) = &self.work
            && tokio::time::timeout(STOP_WAIT, work.end()).await.is_err()
        {
            warn!("not all consumers ended in time; some of their work is done again");
        }
        self.stop_all.cancel();
        self.tasks.close();
        let drained = async {
            self.tasks.wait().await;
            self.runner.stopped().await;
        };
        if tokio::time::timeout(STOP_WAIT, drained).await.is_err() {
            warn!("not everything was drained in time; what was acknowledged is in the log");
        }
        // Until here this node answers forwarded commands, so that their senders retry at another node.
        self.servers.end_nodes().await;
        self.place.leave().await;
        self.stop_feed.cancel();
        // Else it would take the log's closing for a failure of the log.
        self.feed.ended().await;
    }

    /// Ends once the table gives nothing to this node, and others' claims count where it wrote. At once where it is the
    /// only one of its role.
    async fn handed_over(&self) {
        let mut members = self.place.members();
        let is_placed = |members: &Membership| {
            let me = members.peers().iter().find(|peer| peer.node == members.me());
            me.is_none_or(|me| me.serving)
        };
        let _ = members.wait_for(|members| !is_placed(members)).await;
        let others = members.borrow().peers().iter().any(|peer| peer.role == self.role && peer.serving);
        while others && (self.ingest.writes_directory() || !self.ingest.writes().is_empty()) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Returns a function from a partition to the addresses of the nodes that search it, by the current membership table.
fn searchers(members: watch::Receiver<Arc<Membership>>) -> Searchers {
    Arc::new(move |partition| {
        members.borrow().searchers(partition).into_iter().map(|peer| peer.address.clone()).collect()
    })
}

/// The sources of a view on a replica that the table gives to this node, as it changes.
fn mine(
    members: &watch::Receiver<Arc<Membership>>,
    projector: &dyn Projector,
    stop: &CancellationToken,
) -> watch::Receiver<BTreeSet<TopicPartition>> {
    let (view, sources, mut members) = (projector.name().to_owned(), projector.sources(), members.clone());
    let mine = move |members: &Membership| {
        let is_mine =
            |source: &TopicPartition| members.projects(&view, *source).is_some_and(|peer| peer.node == members.me());
        sources.iter().copied().filter(is_mine).collect::<BTreeSet<_>>()
    };
    let (told, follower) = watch::channel(mine(&members.borrow_and_update()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        while members.changed().await.is_ok() {
            let now = mine(&members.borrow_and_update());
            told.send_if_modified(|told| std::mem::replace(told, now.clone()) != now);
        }
    }));
    follower
}

/// The directory as mains has it, and from where each source is read: the lowest position that anybody here needs.
async fn positions(
    projectors: &[Arc<dyn Projector>],
    mains: &Mains,
    partitions: u32,
) -> (At<Position, DirectoryRows>, Vec<(TopicPartition, Position)>) {
    let mut lowest = lowest_positions(projectors, VIEWS_WAIT).await;
    let directory = match tokio::time::timeout(VIEWS_WAIT, mains.load()).await {
        Ok(Ok(at)) => Some(at),
        Ok(Err(why)) => {
            warn!(%why, "mains does not answer: the directory is read from the log");
            None
        }
        Err(_) => None,
    };
    let directory = directory.unwrap_or(At { position: Position::START, rows: DirectoryRows::default() });
    let known = lowest.entry(TopicPartition::DIRECTORY).or_insert(directory.position);
    if directory.position.offset < known.offset {
        *known = directory.position;
    }
    (directory, sources(partitions, &lowest))
}
