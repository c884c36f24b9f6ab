//! `teamlog serve`: every role in one process.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Map, json};
use teamlog_gateway::{
    Gateway, GatewayConfig, GatewayParts, Health, HealthReport, Rates, Rtm, RtmConfig, read::IndexReader,
};
use teamlog_ingest::{Ingest, IngestConfig, IngestParts, TeamsConfig};
use teamlog_log::{Partition, Position, Topic, TopicPartition};
use teamlog_projectors::{Runner, lowest_positions};
use teamlog_state::{At, DirectoryRows, DirectorySource};
use tokio::{
    net::{TcpListener, TcpSocket, lookup_host},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    config::Config,
    credentials::credentials,
    demo,
    parts::{DataDir, OpenLog, feed, random_hex, search, sources, views, write_private},
};

/// How long a view's database may take to say where it stands before the start goes on without it.
const VIEWS_WAIT: Duration = Duration::from_secs(3);
/// How long drains may take at a stop.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// Connections that wait to be accepted. A whole office comes back at once, and who finds no room is heard a second later,
/// when its system tries again: the usual 128 made that half of a thousand. `net.core.somaxconn` bounds it as well.
const BACKLOG: u32 = 4096;

/// How often metrics take in what was recorded.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Runs until a signal. A second one exits at once.
pub(crate) async fn serve(config: Config, data: DataDir, demo: bool) -> anyhow::Result<()> {
    let _lock = data.lock()?;
    let mut signals = Signals::new()?;
    let listen = &config.server.listen;
    let listener = bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let url = format!("http://{address}");
    let admin_key = random_hex(24);
    let metrics = PrometheusBuilder::new().install_recorder().context("cannot record metrics")?;
    // Without it histograms keep every sample until somebody asks for the metrics.
    tokio::spawn({
        let metrics = metrics.clone();
        async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                metrics.run_upkeep();
            }
        }
    });
    let (stop_serving, stop_all, stop_feed) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());

    let secrets = Arc::new(data.secrets(&config)?);
    let log = OpenLog::open(&config, &data).await?;
    let run = json!({ "url": url, "pid": std::process::id(), "admin_key": admin_key }).to_string();
    let (listener, second) = twice(listener)?;
    let log_answers = CancellationToken::new();
    let waiting = tokio::spawn(teamlog_gateway::serve_waiting(second, log_answers.clone()));
    let is_away = || write_private(&data.server_file(), &run);
    let partitions = tokio::select! {
        partitions = partitions(&log, is_away) => partitions?,
        () = signals.next() => {
            log.close().await;
            let _ = std::fs::remove_file(data.server_file());
            return Ok(());
        }
    };
    log_answers.cancel();
    // A call that is still being answered there may go on; new ones come to the gateway.
    let _ = tokio::time::timeout(Duration::from_secs(1), waiting).await;
    let (shards, mains) = views(&config, &data, partitions)?;
    let search = search(&config, &data)
        .inspect_err(|why| error!(why = format!("{why:#}"), "search is off: remove the index and start again"))
        .ok();
    let mut projectors = shards.projectors();
    projectors.extend(mains.projectors());
    if let Some(search) = &search {
        projectors.push(search.projector((0..partitions).map(Partition)));
    }
    let mut lowest = lowest_positions(&projectors, VIEWS_WAIT).await;
    let start = At { position: Position::START, rows: DirectoryRows::default() };
    let directory = match tokio::time::timeout(VIEWS_WAIT, mains.load()).await {
        Ok(Ok(at)) => at,
        Ok(Err(why)) => {
            warn!(%why, "mains does not answer: the directory is read from the log");
            start
        }
        Err(_) => start,
    };
    let known = lowest.entry(TopicPartition::DIRECTORY).or_insert(directory.position);
    if directory.position.offset < known.offset {
        *known = directory.position;
    }
    let from = sources(partitions, &lowest);
    let events = |number| {
        let source = TopicPartition::events(Partition(number));
        from.iter().find(|(one, _)| *one == source).map_or(Position::START, |(_, position)| *position)
    };
    let event_positions: Vec<Position> = (0..partitions).map(events).collect();
    let feed = feed(log.shared(), from, stop_feed.clone());
    let runner = Runner::new(feed.clone(), stop_all.child_token());
    for projector in projectors {
        runner.start(projector);
    }

    let limits = &config.limits;
    let rtm = Rtm::new(RtmConfig {
        sessions_max: config.gateway.sessions_max,
        joining_team_max: config.gateway.joining_team_max,
        joining_max: config.gateway.joining_max,
        lazy_people: config.gateway.lazy_people,
        messages: limits.enabled.then_some((limits.messages_per_second, limits.messages_burst)),
        ..RtmConfig::default()
    });
    let placement = shards.clone();
    let tasks = TaskTracker::new();
    let ingest = Ingest::start(
        IngestParts {
            feed: feed.clone(),
            source: Arc::new(shards.clone()),
            directory: (directory.rows, directory.position),
            from: event_positions,
            shard_of: Arc::new(move |partition| {
                placement.shard_of(Partition(partition)).unwrap_or_default().to_owned()
            }),
            secrets,
            node: data.node()?,
            observer: Some(rtm.clone()),
            config: IngestConfig {
                team_max: config.ingest.team_max,
                partition_max: config.ingest.partition_max,
                teams: TeamsConfig { bytes_max: config.ingest.teams_bytes_max },
                ..IngestConfig::default()
            },
        },
        &tasks,
        &stop_all,
    );
    let gateway = Gateway::new(GatewayParts {
        ingest: ingest.clone(),
        shards: shards.clone(),
        feed: feed.clone(),
        realtime: Arc::new(rtm.clone()),
        search: search.map(|search| Arc::new(IndexReader::new(search, ingest.clone(), shards.clone())) as _),
        credentials: Some(credentials(ingest.clone(), shards, feed.clone())),
        health: Arc::new(Parts { runner: runner.clone(), ingest: ingest.clone(), partitions }),
        metrics: Some(metrics),
        config: GatewayConfig {
            public_url: config.server.public_url.clone().unwrap_or_else(|| url.clone()),
            signup: config.server.signup,
            signup_key: config.server.signup_key.clone(),
            admin_key: Some(admin_key.clone()),
            rates: Rates {
                enabled: limits.enabled,
                calls_per_second: limits.calls_per_second,
                calls_burst: limits.calls_burst,
                ..Rates::default()
            },
            ..GatewayConfig::default()
        },
    });
    let server = tokio::spawn(teamlog_gateway::serve(listener, gateway, stop_serving.clone()));
    write_private(&data.server_file(), &run)?;
    info!(%url, "teamlog serves");
    let founding = tokio::spawn({
        let ingest = ingest.clone();
        async move { found(&ingest).await }
    });
    if demo {
        let (url, admin_key) = (url.clone(), admin_key.clone());
        tokio::spawn(async move {
            if let Err(why) = demo::run(&url, &admin_key).await {
                error!(%why, "the demo could not be set up");
            }
        });
    }
    let outcome = tokio::select! {
        () = signals.next() => Ok(()),
        refused = refusal(founding) => Err(refused),
    };
    info!("stopping");
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(130);
    });
    // In this order: no new work, sessions told to resume, writers drained, views committed, the log closed.
    stop_serving.cancel();
    rtm.shutdown().await;
    let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
    stop_all.cancel();
    tasks.close();
    let drained = async {
        tasks.wait().await;
        runner.stopped().await;
    };
    if tokio::time::timeout(STOP_WAIT, drained).await.is_err() {
        warn!("not everything was drained in time; what was acknowledged is in the log");
    }
    stop_feed.cancel();
    log.close().await;
    let _ = std::fs::remove_file(data.server_file());
    outcome
}

/// How many partitions the log has. It is asked until it answers; `is_away` is called once if it does not.
async fn partitions(log: &OpenLog, is_away: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<u32> {
    let mut said = false;
    loop {
        let asked = async {
            log.create_topics().await?;
            log.shared().partitions(Topic::Events).await
        };
        match asked.await {
            Ok(partitions) => return Ok(partitions),
            Err(teamlog_log::LogError::Away(why)) => {
                if !std::mem::replace(&mut said, true) {
                    warn!(why, "the log is away; waiting for it");
                    is_away()?;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(why) => return Err(why.into()),
        }
    }
}

/// Founds the cluster or finds that it is ours, for as long as that takes.
async fn found(ingest: &Ingest) -> anyhow::Error {
    loop {
        match ingest.found_cluster(Duration::from_secs(10)).await {
            Ok(cluster) => {
                info!(%cluster, "the cluster is ours");
                std::future::pending::<()>().await;
            }
            Err(why) if why.contains("keys are not those") => return anyhow::anyhow!(why),
            Err(why) => warn!(why, "the cluster's founding is not known yet"),
        }
    }
}

async fn refusal(founding: tokio::task::JoinHandle<anyhow::Error>) -> anyhow::Error {
    match founding.await {
        Ok(refused) => refused,
        Err(why) => why.into(),
    }
}

/// The signals that stop a process. Made once: what comes while nobody waits is kept, and ends the next wait.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Listens on the first of an address's places that can be had.
async fn bind(address: &str) -> std::io::Result<TcpListener> {
    let mut outcome = Err(std::io::Error::other("it names no place"));
    for place in lookup_host(address).await? {
        let socket = if place.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        outcome = socket.bind(place).and_then(|()| socket.listen(BACKLOG));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The same socket twice: one for who answers until the log does, one for the gateway. Who connects between the two
/// waits in the socket's backlog.
fn twice(listener: TcpListener) -> std::io::Result<(TcpListener, TcpListener)> {
    let first = listener.into_std()?;
    let second = first.try_clone()?;
    Ok((TcpListener::from_std(first)?, TcpListener::from_std(second)?))
}

/// The state of this process's parts.
struct Parts {
    runner: Runner,
    ingest: Ingest,
    partitions: u32,
}

#[async_trait]
impl Health for Parts {
    async fn report(&self) -> HealthReport {
        let teams = self.ingest.teams();
        let feed = teams.feed();
        let mut views = Map::new();
        for status in self.runner.status() {
            let lag: u64 = status
                .sources
                .iter()
                .map(|source| {
                    let applied = status.progress.positions.get(source).map_or(0, |position| position.offset.0);
                    feed.position(*source).offset.0.saturating_sub(applied)
                })
                .sum();
            let stopped = status.progress.stopped.iter().map(|(source, why)| format!("{source}: {why}"));
            let stopped: Vec<String> = stopped.collect();
            views.insert(
                format!("{} on {}", status.view, status.replica),
                json!({ "lag": lag, "failing": status.progress.failing, "stopped": stopped }),
            );
        }
        let claimed = (0..self.partitions).filter(|number| teams.position(Partition(*number)).epoch > 0).count();
        let stopped = (0..self.partitions).find_map(|number| feed.stopped(TopicPartition::events(Partition(number))));
        let founded = self.ingest.directory().with(|directory| directory.cluster().is_some());
        let ready = founded && claimed == self.partitions as usize && stopped.is_none();
        let log = json!({
            "partitions": self.partitions, "claimed": claimed, "founded": founded,
            "stopped": stopped.map(|why| why.to_string()),
        });
        HealthReport { ready, parts: json!({ "log": log, "views": views, "teams_live": teams.live_len() }) }
    }
}
