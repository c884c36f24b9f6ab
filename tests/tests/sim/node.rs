//! A life of a node: heartbeats, feed, writers, live teams, a projector, and a gateway that forwards commands to their
//! owner by the node's table. The parts are put together as in the program, over a wire that can fail.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{Sink, SinkExt, StreamExt, channel::mpsc};
use rand::Rng;
use serde_json::{Value, json};
use teamlog_cluster::{Clock, Membership, NodeParts, Nodes, Random, Role, Secrets};
use teamlog_consumers::{JobRunner, Ledger, World as Inside};
use teamlog_gateway::{
    ApiError, Args, Gateway, GatewayConfig, GatewayParts, Health, HealthReport, Incoming, Outgoing, Rates, Reply, Rtm,
    RtmConfig, SocketError, args::Arguments, rtm,
};
use teamlog_ingest::{Answer, Ingest, IngestConfig, IngestParts, NewTeam, Request, Writing, http::RemoteWriters};
use teamlog_live::Observer;
use teamlog_log::{Feed, FeedConfig, Offset, Partition, Position, Topic, TopicPartition, decoder};
use teamlog_projectors::{LocalCache, Shards};
use teamlog_schemas::{Event, Ts};
use teamlog_state::DirectoryRows;
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    jobs::{self, Receipts},
    owners::{Addresses, Calls},
    plan::{Plan, stream},
    store::Store,
    wire::{Link, Lost, Wire},
};

/// Milliseconds since 1970 at the beginning of every run, as the log has it.
const BEGINNING: i64 = 1_767_225_600_000_000;

/// As the program: how long others may take to take over what a node wrote that drains.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);

struct Well;

#[async_trait::async_trait]
impl Health for Well {
    async fn report(&self) -> HealthReport {
        HealthReport { ready: true, parts: json!({}) }
    }
}

/// From its start to its crash.
pub(crate) struct Life {
    /// `n1.2`: the second life of the first node.
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) wire: Wire,
    /// The gateway's ingest, which forwards commands to their owners.
    pub(crate) ingest: Ingest,
    /// The writers' ingest. Other nodes call it, and so does this node's own gateway.
    pub(crate) writing: Ingest,
    /// The node's membership, until it leaves.
    nodes: Mutex<Option<Nodes>>,
    members: watch::Receiver<Arc<Membership>>,
    gateway: Gateway,
    rtm: Arc<Rtm>,
    /// The node's consumer.
    work: (JobRunner, CancellationToken),
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The settings with which a life begins.
pub(crate) struct Birth {
    pub(crate) plan: Plan,
    pub(crate) number: usize,
    pub(crate) life: u32,
    pub(crate) wire: Wire,
    pub(crate) store: Store,
    pub(crate) addresses: Addresses,
    pub(crate) clock: SkewedClock,
}

/// The clock of a machine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SkewedClock {
    began: Instant,
    /// In microseconds, ahead of the log's.
    skew: Arc<AtomicI64>,
}

impl SkewedClock {
    pub(crate) fn new(began: Instant, skew: i64) -> SkewedClock {
        SkewedClock { began, skew: Arc::new(AtomicI64::new(skew)) }
    }

    pub(crate) fn set(&self, skew: i64) {
        self.skew.store(skew, Ordering::Relaxed);
    }

    fn now(&self) -> Ts {
        let elapsed = self.began.elapsed().as_micros() as i64;
        Ts::from_micros(BEGINNING + elapsed + self.skew.load(Ordering::Relaxed))
    }
}

impl Life {
    /// Joins the other nodes, which takes until the log answers, and starts all parts. It is not chosen yet.
    pub(crate) async fn begin(birth: Birth) -> Life {
        let Birth { plan, number, life, wire, store, addresses, clock } = birth;
        let (name, address) = (format!("n{number}.{life}"), format!("http://n{number}"));
        // Its data directory's: the same in each life, and by the seed, as it is what placement goes by.
        let node = Uuid::from_u128(stream(plan.seed, &format!("node {number}")).random());
        let clock = Clock::new(move || clock.now());
        let (log, clock_of_beats) = (Arc::new(wire.clone()), clock.clone());
        let nodes = Nodes::join(NodeParts {
            log: log.clone(),
            node,
            role: Role::Ingest,
            address: address.clone(),
            url: None,
            views: Vec::new(),
            kinds: Vec::new(),
            clock: clock_of_beats,
        });
        let nodes = nodes.await.expect("no role excludes itself");
        let members = nodes.members();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let from = store.positions();
        let mut sources = vec![(TopicPartition::DIRECTORY, Position::START)];
        for (partition, position) in (0..).map(Partition).zip(&from) {
            sources.push((TopicPartition::events(partition), *position));
            sources.push((TopicPartition { topic: Topic::Marks, partition }, Position::bare(Offset::ZERO)));
        }
        let sizes = FeedConfig { ring_bytes_max: plan.ring_bytes_max, ..FeedConfig::default() };
        let feed = Feed::start(log.clone(), decoder(Event::decode), sizes, sources, stop.clone());
        let mut rng = stream(plan.seed, &name);
        store.project(&feed, rng.random(), &stop);
        let rtm = Rtm::new(rtm_config(&plan));
        let random = Mutex::new(rng);
        let random = Random::new(move || random.lock().unwrap().random());
        let start = |writing: Writing, observer: Option<Arc<dyn Observer>>| {
            let parts = IngestParts {
                feed: feed.clone(),
                source: Arc::new(store.clone()),
                directory: (DirectoryRows::default(), Position::START),
                from: from.clone(),
                shard_of: Arc::new(|_| "s1".to_owned()),
                secrets: Arc::new(Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap()),
                node,
                clock: clock.clone(),
                random: random.clone(),
                writing,
                observer,
                config: IngestConfig::default(),
            };
            Ingest::start(parts, &tasks, &stop)
        };
        let writing = start(Writing::Here(members.clone()), None);
        addresses.listen(&address, &wire, writing.writers());
        let rng = Mutex::new(stream(plan.seed, &format!("calls of {name}")));
        let calls = Calls { from: wire.clone(), to: addresses, faults: plan.calls, rng };
        let owners = RemoteWriters::new(members.clone(), calls);
        let ingest = start(Writing::Elsewhere(Arc::new(owners)), Some(rtm.clone()));
        nodes.tell({
            let writing = writing.clone();
            move || writing.writes()
        });
        let shards = Shards::new(plan.partitions, &[]).unwrap();
        let stop_work = stop.child_token();
        let ledger = Ledger::start(log, plan.partitions, stop.clone());
        let runner = JobRunner::new(feed.clone(), ledger, clock, random, stop_work.clone());
        let mine = jobs::mine(members.clone(), plan.partitions, &stop);
        runner.start(Receipts, Inside::new(ingest.clone(), shards.clone()), mine);
        let gateway = Gateway::new(GatewayParts {
            ingest: ingest.clone(),
            shards,
            cache: Arc::new(LocalCache::new(1 << 20)),
            feed,
            rtm: rtm.clone(),
            homes: None,
            search: None,
            credentials: None,
            jobs: None,
            health: Arc::new(Well),
            metrics: None,
            config: GatewayConfig { rates: Rates { enabled: false, ..Rates::default() }, ..GatewayConfig::default() },
        });
        let nodes = Mutex::new(Some(nodes));
        let work = (runner, stop_work);
        Life { name, number, wire, ingest, writing, nodes, members, gateway, rtm, work, tasks, stop }
    }

    /// From now on it may be chosen, or not any more.
    pub(crate) fn take_part(&self, serving: bool) {
        if let Some(nodes) = &*self.nodes.lock().unwrap() {
            nodes.take_part(serving);
        }
    }

    /// Its table of the nodes, as it changes.
    pub(crate) fn members(&self) -> watch::Receiver<Arc<Membership>> {
        self.members.clone()
    }

    /// Returns the partitions that this node writes.
    pub(crate) fn writes(&self) -> Vec<TopicPartition> {
        let directory = self.writing.writes_directory().then_some(TopicPartition::DIRECTORY);
        let events = self.writing.writes().into_iter().map(|number| TopicPartition::events(Partition(number)));
        directory.into_iter().chain(events).collect()
    }

    /// Kills the node: from here on nothing of it reaches any other.
    pub(crate) fn crash(&self) {
        self.wire.set(Link::Dead);
        self.stop.cancel();
        self.nodes.lock().unwrap().take();
    }

    /// Shuts down cleanly: hands its partitions over, tells sessions to reconnect elsewhere, drains what is in flight, and
    /// leaves.
    pub(crate) async fn drain(&self) {
        self.take_part(false);
        let handed_over = async {
            while !self.writes().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(HAND_OVER_WAIT, handed_over).await;
        self.rtm.shutdown().await;
        self.work.1.cancel();
        self.work.0.stopped().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let nodes = self.nodes.lock().unwrap().take();
        if let Some(nodes) = nodes {
            nodes.leave().await;
        }
        self.crash();
    }

    /// A call over the network: it may break off, and what became of it is not known then.
    async fn call<T>(&self, call: impl Future<Output = T>) -> Result<T, Lost> {
        let answered = async {
            self.wire.reached().await?;
            let answer = call.await;
            self.wire.reached().await?;
            Ok(answer)
        };
        tokio::select! {
            biased;
            () = self.wire.died() => Err(Lost),
            answer = answered => answer,
        }
    }

    pub(crate) async fn submit(&self, request: Request) -> Result<Answer, Lost> {
        self.call(self.ingest.submit_by_team(request)).await
    }

    pub(crate) async fn create_team(&self, new: NewTeam) -> Result<Answer, Lost> {
        self.call(self.ingest.create_team(new)).await
    }

    /// `rtm.connect`.
    pub(crate) async fn connect(&self, token: &str, args: Value) -> Result<Result<Value, ApiError>, Lost> {
        let Value::Object(args) = args else { panic!("{args} is no object") };
        let connect = async {
            let caller = self.gateway.caller(token).await?;
            match rtm::connect(&self.gateway, &caller, &rtm::ConnectArgs::parse(&Args::new(&args))?).await? {
                Reply::Object(answer) => Ok(Value::Object(answer)),
                Reply::Encoded(_) => panic!("rtm.connect is small"),
            }
        };
        self.call(connect).await
    }

    /// A socket at a url.
    pub(crate) fn open(&self, url: &str) -> Socket {
        let ticket = url.rsplit('/').next().unwrap_or_default().to_owned();
        let (say, incoming) = mpsc::unbounded();
        let (outgoing, mut sent) = mpsc::channel::<Outgoing>(1);
        let (mut deliver, hear) = mpsc::channel::<Outgoing>(4);
        let sink = ToClient(outgoing);
        tokio::spawn(rtm::serve(self.gateway.clone(), ticket, Box::pin(incoming), Box::pin(sink)));
        let wire = self.wire.clone();
        tokio::spawn(async move {
            let carry = async {
                while let Some(frame) = sent.next().await {
                    if wire.reached().await.is_err() || deliver.send(frame).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                biased;
                () = wire.died() => {}
                () = carry => {}
            }
        });
        Socket { say, hear }
    }
}

fn rtm_config(plan: &Plan) -> RtmConfig {
    RtmConfig {
        queue_max: plan.queue_max,
        burst_frames: plan.burst_frames,
        burst_pause: Duration::from_millis(5),
        hold_off: Duration::from_millis(50)..Duration::from_millis(500),
        messages: None,
        frames: None,
        reconnect_url_every: Duration::from_secs(2),
        catch_up_bytes_max: plan.catch_up_bytes_max,
        ..RtmConfig::default()
    }
}

/// The node's end of a socket. As a websocket it says again that it is broken, however often it is asked.
struct ToClient(mpsc::Sender<Outgoing>);

impl Sink<Outgoing> for ToClient {
    type Error = SocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(broken)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Outgoing) -> Result<(), SocketError> {
        Pin::new(&mut self.0).start_send(frame).map_err(broken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(broken)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.0).poll_close(cx).map_err(broken)
    }
}

fn broken(why: mpsc::SendError) -> SocketError {
    SocketError::Broken(why.to_string())
}

/// The client's end of a socket.
pub(crate) struct Socket {
    say: mpsc::UnboundedSender<Result<Incoming, SocketError>>,
    hear: mpsc::Receiver<Outgoing>,
}

/// A frame or a close that a client receives.
pub(crate) enum Heard {
    Frame(Value),
    Closed(u16),
}

impl Socket {
    /// The next frame or the close; none once the connection is lost. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            match self.hear.next().await? {
                Outgoing::Text(bytes) => return Some(Heard::Frame(serde_json::from_slice(&bytes).unwrap())),
                Outgoing::Close(code, _) => return Some(Heard::Closed(code)),
                Outgoing::Ping(payload) => {
                    let _ = self.say.unbounded_send(Ok(Incoming::Pong(payload)));
                }
                Outgoing::Pong(_) => {}
            }
        }
    }
}
