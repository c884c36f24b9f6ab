//! The parts of a process, put together and taken apart again.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use teamlog_gateway::{Gateway, GatewayConfig, GatewayParts, Rates, Rtm, RtmConfig, read::IndexReader};
use teamlog_ingest::{Clock, Ingest, IngestConfig, IngestParts, Nodes, Random, Secrets, TeamsConfig};
use teamlog_log::{Feed, Partition, Position, TopicPartition};
use teamlog_projectors::{Mains, Projector, Runner, Search, cache, lowest_positions};
use teamlog_schemas::Event;
use teamlog_state::{At, DirectoryRows, DirectorySource};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};
use uuid::Uuid;

use super::{
    door::{Door, Joined},
    founding::{found, known},
    health::Parts,
};
use crate::{
    config::Config,
    credentials::credentials,
    parts::{DataDir, OpenLog, feed, search, sources, views},
};

/// How long a view's database may take to say where it stands before the start goes on without it.
const VIEWS_WAIT: Duration = Duration::from_secs(3);
/// How long calls under way may take at a stop.
const CALLS_WAIT: Duration = Duration::from_secs(5);
/// How long drains may take at a stop.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// What the cache in this process may hold; with `[cache] servers` there is none.
const LOCAL_CACHE_BYTES: u64 = 64 << 20;

/// What a start is made of, before the log was asked anything.
pub(super) struct Start<'a> {
    config: &'a Config,
    data: &'a DataDir,
    log: &'a OpenLog,
    door: &'a Door,
    secrets: Arc<Secrets>,
    pub(super) node_id: Uuid,
    pub(super) clock: Clock,
}

/// Everything that runs.
pub(super) struct Node {
    rtm: Arc<Rtm>,
    feed: Feed<Event>,
    runner: Runner,
    tasks: TaskTracker,
    nodes: Option<Nodes>,
    ingest: Ingest,
    clock: Clock,
    gateway: Gateway,
    server: Option<JoinHandle<std::io::Result<()>>>,
    founding: JoinHandle<anyhow::Error>,
    stop_serving: CancellationToken,
    stop_all: CancellationToken,
    stop_feed: CancellationToken,
}

impl<'a> Start<'a> {
    pub(super) fn new(
        config: &'a Config,
        data: &'a DataDir,
        log: &'a OpenLog,
        door: &'a Door,
    ) -> anyhow::Result<Start<'a>> {
        let secrets = Arc::new(data.secrets(config)?);
        Ok(Start { config, data, log, door, secrets, node_id: data.node()?, clock: Clock::system() })
    }

    fn rtm(&self) -> Arc<Rtm> {
        let (gateway, limits) = (&self.config.gateway, &self.config.limits);
        Rtm::new(RtmConfig {
            sessions_max: gateway.sessions_max,
            joining_team_max: gateway.joining_team_max,
            joining_max: gateway.joining_max,
            lazy_people: gateway.lazy_people,
            messages: limits.enabled.then_some((limits.messages_per_second, limits.messages_burst)),
            frames: RtmConfig::default().frames.filter(|_| limits.enabled),
            ..RtmConfig::default()
        })
    }

    fn ingest_config(&self) -> IngestConfig {
        let sizes = &self.config.ingest;
        IngestConfig {
            team_max: sizes.team_max,
            partition_max: sizes.partition_max,
            teams: TeamsConfig { bytes_max: sizes.teams_bytes_max },
            ..IngestConfig::default()
        }
    }

    fn gateway_config(&self) -> GatewayConfig {
        let (server, limits) = (&self.config.server, &self.config.limits);
        GatewayConfig {
            public_url: server.public_url.clone().unwrap_or_else(|| self.door.url.clone()),
            signup: server.signup,
            signup_key: server.signup_key.clone(),
            admin_key: Some(self.door.admin_key.clone()),
            rates: Rates {
                enabled: limits.enabled,
                calls_per_second: limits.calls_per_second,
                calls_burst: limits.calls_burst,
                ..Rates::default()
            },
            ..GatewayConfig::default()
        }
    }

    /// The index; none if it cannot be used, for nothing else depends on it.
    fn search(&self) -> Option<Search> {
        let said = |why: &anyhow::Error| {
            let why = format!("{why:#}");
            error!(why, "search is off: build it anew (teamlog view rebuild search) and start again");
        };
        search(self.config, self.data).inspect_err(said).ok()
    }
}

impl Node {
    /// Starts everything but the gateway's server.
    ///
    /// # Errors
    /// If the views cannot be those of this log.
    pub(super) async fn start(start: Start<'_>, joined: Joined, metrics: PrometheusHandle) -> anyhow::Result<Node> {
        let Joined { partitions, nodes } = joined;
        let [stop_serving, stop_all, stop_feed] = std::array::from_fn(|_| CancellationToken::new());
        let (shards, mains) = views(start.config, start.data, partitions)?;
        let search = start.search();
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
        let runner = Runner::new(feed.clone(), stop_all.child_token());
        for projector in projectors {
            runner.start(projector);
        }
        // Where the index stands does not hold up the start: what is behind the feed it reads from the log by itself.
        if let Some(search) = &search {
            runner.start(search.projector((0..partitions).map(Partition)));
        }

        let (rtm, tasks, placement) = (start.rtm(), TaskTracker::new(), shards.clone());
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
                observer: Some(rtm.clone()),
                config: start.ingest_config(),
            },
            &tasks,
            &stop_all,
        );
        if let Some(nodes) = &nodes {
            let ingest = ingest.clone();
            nodes.tell(move || ingest.writes());
        }
        let health = Parts { runner: runner.clone(), ingest: ingest.clone(), clock: start.clock.clone(), partitions };
        let gateway = Gateway::new(GatewayParts {
            ingest: ingest.clone(),
            shards: shards.clone(),
            cache: cache(&start.config.cache.servers, LOCAL_CACHE_BYTES),
            feed: feed.clone(),
            realtime: Arc::new(rtm.clone()),
            search: search.map(|search| Arc::new(IndexReader::new(search, ingest.clone(), shards.clone())) as _),
            credentials: Some(credentials(ingest.clone(), shards.clone(), feed.clone(), partitions)),
            health: Arc::new(health),
            metrics: Some(metrics),
            config: start.gateway_config(),
        });
        let founding = tokio::spawn(found(ingest.clone(), shards));
        let (clock, server) = (start.clock, None);
        Ok(Node {
            rtm,
            feed,
            runner,
            tasks,
            nodes,
            ingest,
            clock,
            gateway,
            server,
            founding,
            stop_serving,
            stop_all,
            stop_feed,
        })
    }

    /// Ends once the gateway may serve.
    ///
    /// # Errors
    /// With the reason why this process must not serve the cluster.
    pub(super) async fn may_serve(&self) -> anyhow::Result<()> {
        known(&self.ingest, &self.clock).await
    }

    /// Lets the gateway serve.
    pub(super) fn serve(&mut self, listener: std::net::TcpListener) -> anyhow::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let serving = teamlog_gateway::serve(listener, self.gateway.clone(), self.stop_serving.clone());
        self.server = Some(tokio::spawn(serving));
        Ok(())
    }

    /// Ends only if this process must not serve the cluster, with the reason.
    pub(super) async fn refusal(&mut self) -> anyhow::Error {
        (&mut self.founding).await.unwrap_or_else(Into::into)
    }

    /// In this order: no new work, sessions told to resume, writers drained, views committed. The log may be closed then.
    pub(super) async fn stop(self) {
        self.stop_serving.cancel();
        self.rtm.shutdown().await;
        if let Some(server) = self.server {
            let _ = tokio::time::timeout(CALLS_WAIT, server).await;
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
        if let Some(nodes) = self.nodes {
            nodes.leave().await;
        }
        self.stop_feed.cancel();
        // Else it would take the log's closing for a failure of the log.
        self.feed.ended().await;
    }
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
