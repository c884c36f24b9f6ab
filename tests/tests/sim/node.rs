//! One life of a node: feed, writers, live teams, a projector and the gateway's sessions, as the program puts them
//! together, over a wire that can fail.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::{Sink, SinkExt, StreamExt, channel::mpsc};
use rand::Rng;
use serde_json::{Value, json};
use teamlog_gateway::{
    ApiError, Args, Gateway, GatewayConfig, GatewayParts, Health, HealthReport, Incoming, Outgoing, Rates, Realtime,
    Reply, Rtm, RtmConfig, SocketError,
};
use teamlog_ingest::{Answer, Clock, Ingest, IngestConfig, IngestParts, NewTeam, Random, Request, Secrets, Writing};
use teamlog_log::{Feed, FeedConfig, Offset, Partition, Position, Record, Topic, TopicPartition, Undecodable};
use teamlog_projectors::{LocalCache, Shards};
use teamlog_schemas::{Event, Ts};
use teamlog_state::DirectoryRows;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    plan::{Plan, stream},
    store::Store,
    wire::{Link, Lost, Wire},
};

/// Milliseconds since 1970 at the beginning of every run, as the log has it.
const BEGINNING: i64 = 1_767_225_600_000_000;

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
    pub(crate) wire: Wire,
    pub(crate) ingest: Ingest,
    gateway: Gateway,
    rtm: Arc<Rtm>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What a life is begun with.
pub(crate) struct Birth<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) number: usize,
    pub(crate) life: u32,
    pub(crate) wire: Wire,
    pub(crate) store: &'a Store,
    pub(crate) began: Instant,
}

impl Life {
    pub(crate) fn begin(birth: Birth<'_>) -> Life {
        let Birth { plan, number, life, wire, store, began } = birth;
        let name = format!("n{number}.{life}");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let from = store.positions();
        let mut sources = vec![(TopicPartition::DIRECTORY, Position::START)];
        for (partition, position) in (0..).map(Partition).zip(&from) {
            sources.push((TopicPartition::events(partition), *position));
            sources.push((TopicPartition { topic: Topic::Marks, partition }, Position::bare(Offset::ZERO)));
        }
        let sizes = FeedConfig { ring_bytes_max: plan.ring_bytes_max, ..FeedConfig::default() };
        let feed = Feed::start(Arc::new(wire.clone()), Arc::new(decode), sizes, sources, stop.clone());
        let mut rng = stream(plan.seed, &name);
        store.project(&feed, rng.random(), &stop);
        let rtm = Rtm::new(rtm_config(plan));
        let skew = plan.skews[number];
        let clock = move || Ts::from_micros(BEGINNING + began.elapsed().as_micros() as i64 + skew);
        let random = Mutex::new(rng);
        let ingest = Ingest::start(
            IngestParts {
                feed: feed.clone(),
                source: Arc::new(store.clone()),
                directory: (DirectoryRows::default(), Position::START),
                from,
                shard_of: Arc::new(|_| "s1".to_owned()),
                secrets: Arc::new(Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap()),
                node: Uuid::from_u128(number as u128 + 1),
                clock: Clock::new(clock),
                random: Random::new(move || random.lock().unwrap().random()),
                writing: Writing::alone(Uuid::from_u128(number as u128 + 1)),
                observer: Some(rtm.clone()),
                config: IngestConfig::default(),
            },
            &tasks,
            &stop,
        );
        let gateway = Gateway::new(GatewayParts {
            ingest: ingest.clone(),
            shards: Shards::new(plan.partitions, &[]).unwrap(),
            cache: Arc::new(LocalCache::new(1 << 20)),
            feed,
            realtime: Arc::new(rtm.clone()),
            homes: None,
            search: None,
            credentials: None,
            health: Arc::new(Well),
            metrics: None,
            config: GatewayConfig { rates: Rates { enabled: false, ..Rates::default() }, ..GatewayConfig::default() },
        });
        Life { name, wire, ingest, gateway, rtm, tasks, stop }
    }

    /// Nothing of it reaches anybody from here on.
    pub(crate) fn crash(&self) {
        self.wire.set(Link::Dead);
        self.stop.cancel();
    }

    /// Ends in good order: sessions are told to go on elsewhere, what is in flight is drained.
    pub(crate) async fn drain(&self) {
        self.rtm.shutdown().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
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
        self.call(self.ingest.submit(request)).await
    }

    pub(crate) async fn create_team(&self, new: NewTeam) -> Result<Answer, Lost> {
        self.call(self.ingest.create_team(new)).await
    }

    /// `rtm.connect`.
    pub(crate) async fn connect(&self, token: &str, args: Value) -> Result<Result<Value, ApiError>, Lost> {
        let Value::Object(args) = args else { panic!("{args} is no object") };
        let connect = async {
            let caller = self.gateway.caller(token).await?;
            match self.rtm.connect(&self.gateway, &caller, &Args::new(args)).await? {
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
        let (gateway, rtm) = (self.gateway.clone(), self.rtm.clone());
        tokio::spawn(async move { rtm.serve(gateway, ticket, Box::pin(incoming), Box::pin(sink)).await });
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

fn decode(record: &Record) -> Result<Event, Undecodable> {
    let value = record.value.as_deref().unwrap_or_default();
    Event::decode(value).map_err(|why| Undecodable { schema_id: record.schema_id(), why: why.to_string() })
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

/// What a client hears.
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
