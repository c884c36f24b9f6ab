//! A whole gateway in this process: the embedded log, a shard on SQLite, and sockets that are channels.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response},
};
use futures::{SinkExt, StreamExt, channel::mpsc, future::BoxFuture};
use serde_json::{Value, json};
use teamlog_cluster::{Clock, Random, Secrets};
use teamlog_gateway::*;
use teamlog_ingest::{Ingest, IngestConfig, IngestParts, Writing};
use teamlog_log::{
    Appended, EmbeddedConfig, EmbeddedLog, Feed, FeedConfig, Log, LogError, NewRecord, Offset, Partition, Position,
    Reader, Topic, TopicPartition, decoder,
};
use teamlog_projectors::{LocalCache, Runner, Search, ShardConfig, Shards};
use teamlog_schemas::Event;
use teamlog_state::DirectoryRows;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use uuid::Uuid;

use crate::{elsewhere, homes::Burdened, signup::Vault};

const PARTITIONS: u32 = 2;
pub(crate) const ADMIN_KEY: &str = "an operator's key";

/// Counts how often it is asked for an end.
struct Counted {
    log: Arc<EmbeddedLog>,
    ends: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Log for Counted {
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.log.partitions(topic).await
    }

    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>> {
        self.log.append(to, records)
    }

    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        self.ends.fetch_add(1, Ordering::Relaxed);
        self.log.end(of).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        self.log.reader(from).await
    }
}

struct Well;

#[async_trait::async_trait]
impl Health for Well {
    async fn report(&self) -> HealthReport {
        HealthReport { ready: true, parts: json!({ "log": { "state": "ok" } }) }
    }
}

pub(crate) struct House {
    pub(crate) router: Router,
    gateway: Gateway,
    /// How often the log was asked where a partition ends.
    pub(crate) ends: Arc<AtomicUsize>,
    feed: Feed<Event>,
    runner: Runner,
    stop_views: CancellationToken,
    pub(crate) ingest: Ingest,
    stop: CancellationToken,
    _dir: TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The client's end of a socket.
pub(crate) struct Socket {
    hear: mpsc::Receiver<Outgoing>,
    _say: mpsc::UnboundedSender<Result<Incoming, SocketError>>,
}

impl Socket {
    /// Returns the next frame of a type.
    pub(crate) async fn up_to(&mut self, kind: &str) -> Value {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.hear.next()).await.expect("a frame in time");
            let Outgoing::Text(bytes) = next.expect("an open socket") else { continue };
            let frame: Value = serde_json::from_slice(&bytes).unwrap();
            if frame["type"] == kind {
                return frame;
            }
        }
    }
}

/// How the shard keeps up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shard {
    /// With the log.
    Follows,
    /// The shard applies nothing, so all that is read comes from the tail.
    StandsStill,
}

/// The settings that differ between houses.
#[derive(Default)]
struct Plan {
    credentials: Option<Arc<dyn Credentials>>,
    searches_elsewhere: bool,
    /// Set if the house is one of several gateways: the writers and the homes that it uses.
    among: Option<(Arc<Burdened>, Homes)>,
}

fn with_operators() -> GatewayConfig {
    GatewayConfig { admin_key: Some(ADMIN_KEY.to_owned()), ..GatewayConfig::default() }
}

pub(crate) fn secrets() -> Secrets {
    Secrets::new(["a key of these tests"]).unwrap()
}

impl House {
    pub(crate) async fn new(shard: Shard) -> House {
        House::with(shard, with_operators()).await
    }

    pub(crate) async fn with(shard: Shard, config: GatewayConfig) -> House {
        House::built(shard, config, Plan::default()).await
    }

    /// Builds a house that keeps passwords.
    pub(crate) async fn with_vault(vault: Arc<dyn Credentials>) -> House {
        let plan = Plan { credentials: Some(vault), ..Plan::default() };
        House::built(Shard::Follows, with_operators(), plan).await
    }

    /// Builds a house that searches with a separate node, behind a socket. The first node in its list is unreachable.
    pub(crate) async fn searching_elsewhere(shard: Shard) -> House {
        House::built(shard, with_operators(), Plan { searches_elsewhere: true, ..Plan::default() }).await
    }

    /// A gateway with everything that a method may use: passwords, search, the websocket half; and without rates.
    pub(crate) async fn whole() -> House {
        let rates = Rates { enabled: false, signins_per_minute: 10_000, ..Rates::default() };
        let config = GatewayConfig { rates, ..with_operators() };
        House::built(Shard::Follows, config, Plan { credentials: Some(Vault::new()), ..Plan::default() }).await
    }

    /// Builds a house that is one of several gateways.
    pub(crate) async fn among(config: GatewayConfig, writers: Arc<Burdened>, homes: Homes) -> House {
        House::built(Shard::Follows, config, Plan { among: Some((writers, homes)), ..Plan::default() }).await
    }

    async fn built(shard: Shard, config: GatewayConfig, plan: Plan) -> House {
        let dir = tempfile::tempdir().unwrap();
        let settings = EmbeddedConfig { partitions: PARTITIONS, ..EmbeddedConfig::default() };
        let log = EmbeddedLog::open(&dir.path().join("log.db"), settings).await.unwrap();
        let ends = Arc::<AtomicUsize>::default();
        let log = Arc::new(Counted { log, ends: ends.clone() });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut from = vec![(TopicPartition::DIRECTORY, Position::START)];
        for topic in [Topic::Events, Topic::Marks, Topic::Credentials] {
            from.extend((0..PARTITIONS).map(|n| (TopicPartition { topic, partition: Partition(n) }, Position::START)));
        }
        let follow =
            || Feed::start(log.clone(), decoder(Event::decode), FeedConfig::default(), from.clone(), stop.clone());
        let feed = follow();
        let url = format!("sqlite://{}", dir.path().join("s1.db").display());
        let shards = Shards::new(PARTITIONS, &[ShardConfig { name: "s1".into(), replicas: vec![url] }]).unwrap();
        let search = Search::open(&dir.path().join("search")).unwrap();
        let stop_views = stop.child_token();
        let runner = Runner::new(feed.clone(), stop_views.clone());
        if shard == Shard::Follows {
            runner.start(search.projector((0..PARTITIONS).map(Partition)));
            shards.projectors().into_iter().for_each(|projector| runner.start(projector));
        }
        let Plan { credentials, searches_elsewhere, among } = plan;
        let rtm = Rtm::new(RtmConfig::default());
        let parts = |writing| IngestParts {
            feed: feed.clone(),
            source: Arc::new(shards.clone()),
            directory: (DirectoryRows::default(), Position::START),
            from: vec![Position::START; PARTITIONS as usize],
            shard_of: Arc::new(|_| "s1".to_owned()),
            secrets: Arc::new(secrets()),
            node: Uuid::from_u128(1),
            clock: Clock::system(),
            random: Random::system(),
            writing,
            observer: Some(rtm.clone()),
            config: IngestConfig::default(),
        };
        let (mut writing, mut homes) = (Writing::alone(Uuid::nil()), None);
        if let Some((writers, table)) = among {
            writers.stand_before(Ingest::start(parts(writing), &tasks, &stop).writers().clone());
            (writing, homes) = (Writing::Elsewhere(writers), Some(table));
        }
        let ingest = Ingest::start(parts(writing), &tasks, &stop);
        let index: Arc<dyn read::MessageIndex> = if searches_elsewhere {
            Arc::new(elsewhere::searched_by(read::LocalIndex::new(search, follow())).await)
        } else {
            Arc::new(read::LocalIndex::new(search, feed.clone()))
        };
        let gateway = Gateway::new(GatewayParts {
            ingest: ingest.clone(),
            shards,
            cache: Arc::new(LocalCache::new(1 << 20)),
            feed: feed.clone(),
            rtm,
            homes,
            search: Some(index),
            credentials,
            jobs: Some(Arc::new(crate::jobs::Letters::default())),
            health: Arc::new(Well),
            metrics: None,
            config,
        });
        House { router: router(gateway.clone()), gateway, ends, ingest, feed, runner, stop_views, stop, _dir: dir }
    }

    /// Opens a socket, and ends once it is registered.
    pub(crate) async fn socket(&self, token: &str) -> Socket {
        let url = self.good("rtm.connect", token, json!({})).await["url"].as_str().unwrap().to_owned();
        let ticket = url.rsplit('/').next().unwrap().to_owned();
        let (say, incoming) = mpsc::unbounded();
        let (outgoing, hear) = mpsc::channel::<Outgoing>(16);
        let sink = outgoing.sink_map_err(|why| SocketError::Broken(why.to_string()));
        tokio::spawn(rtm::serve(self.gateway.clone(), ticket, Box::pin(incoming), Box::pin(sink)));
        let mut socket = Socket { hear, _say: say };
        socket.up_to("hello").await;
        socket
    }

    /// Ends once the rows have all that is in the log.
    pub(crate) async fn rows_follow(&self) {
        for source in (0..PARTITIONS).map(|number| TopicPartition::events(Partition(number))) {
            let end = self.feed.log().end(source).await.unwrap();
            self.runner.wait_for("shard s1", source, end).await.unwrap();
        }
    }

    /// From now on nothing comes to the rows.
    pub(crate) async fn stop_views(&self) {
        self.stop_views.cancel();
        self.runner.stopped().await;
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.send_from("127.0.0.1:9", request).await
    }

    pub(crate) async fn send_from(&self, peer: &str, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let answered = self.router.clone().oneshot(request);
        tokio::time::timeout(Duration::from_secs(30), answered).await.expect("in half a minute").unwrap()
    }

    /// A call with a JSON body; the answer's body.
    pub(crate) async fn call(&self, method: &str, token: &str, args: Value) -> Value {
        let request = Request::post(format!("/api/{method}"))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(args.to_string()));
        body(self.send(request.unwrap()).await).await
    }

    #[track_caller]
    pub(crate) fn good(&self, method: &str, token: &str, args: Value) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let body = self.call(method, token, args).await;
            assert_eq!(body["ok"], true, "{place}: {method}: {body}");
            body
        }
    }

    #[track_caller]
    pub(crate) fn bad(&self, method: &str, token: &str, args: Value, code: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let body = self.call(method, token, args).await;
            assert_eq!((&body["ok"], &body["error"]), (&json!(false), &json!(code)), "{place}: {method}: {body}");
        }
    }
}

pub(crate) async fn body(response: Response<Body>) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A team with its owner, Ada, and Bob; their tokens.
pub(crate) struct Team {
    pub(crate) ada: String,
    pub(crate) bob: String,
    pub(crate) ada_id: String,
    pub(crate) bob_id: String,
}

impl Team {
    pub(crate) async fn new(house: &House) -> Team {
        let args =
            json!({"domain": "lovelace", "name": "Lovelace", "owner_name": "ada", "owner_email": "ada@example.com"});
        let made = house.good("teamlog.teams.create", "", args).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let ada = text(&made["token"]);
        let came = house.good("teamlog.users.create", &ada, json!({"name": "bob", "email": "bob@example.com"})).await;
        Team { bob: text(&came["token"]), ada_id: text(&made["user"]["id"]), bob_id: text(&came["user"]["id"]), ada }
    }
}
