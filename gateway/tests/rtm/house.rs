//! A gateway with its websocket half, in this process, and sockets that are channels: so that a client can be as slow
//! as a test wants it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc};
use serde_json::{Value, json};
use teamlog_cluster::{Clock, Random, Secrets};
use teamlog_gateway::{args::Arguments, *};
use teamlog_ingest::{
    Acked, Answer, Command, Ingest, IngestConfig, IngestParts, NewPerson, NewTeam, Request, Writing,
    commands::{CreateConversation, CreateUser, Join, Post},
};
use teamlog_log::{EmbeddedConfig, EmbeddedLog, Feed, FeedConfig, Partition, Position, Topic, TopicPartition, decoder};
use teamlog_projectors::{LocalCache, ShardConfig, Shards};
use teamlog_schemas::{ConversationId, ConversationKind, Event, TeamId, UserId};
use teamlog_state::DirectoryRows;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::elsewhere::Held;

/// Longer than anything here takes.
const WAIT: Duration = Duration::from_secs(30);

struct Well;

#[async_trait::async_trait]
impl Health for Well {
    async fn report(&self) -> HealthReport {
        HealthReport { ready: true, parts: json!({}) }
    }
}

pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) rtm: Arc<Rtm>,
    pub(crate) team: TeamId,
    pub(crate) ada: Resident,
    pub(crate) bob: Resident,
    /// A channel of both.
    pub(crate) here: ConversationId,
    stop: CancellationToken,
    _dir: TempDir,
}

#[derive(Clone)]
pub(crate) struct Resident {
    pub(crate) user: UserId,
    pub(crate) token: String,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl House {
    pub(crate) async fn new(config: RtmConfig) -> House {
        House::built(config, None, None).await
    }

    /// A gateway of its own among the nodes of a table: what it writes goes through `held`, as it would to another node.
    pub(crate) async fn elsewhere(config: RtmConfig, held: &Arc<Held>, homes: Homes) -> House {
        House::built(config, Some(held.clone()), Some(homes)).await
    }

    async fn built(config: RtmConfig, held: Option<Arc<Held>>, homes: Option<Homes>) -> House {
        let dir = tempfile::tempdir().unwrap();
        let settings = EmbeddedConfig { partitions: 1, ..EmbeddedConfig::default() };
        let log = EmbeddedLog::open(&dir.path().join("log.db"), settings).await.unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut from = vec![(TopicPartition::DIRECTORY, Position::START)];
        from.extend(
            [Topic::Events, Topic::Marks, Topic::Credentials]
                .map(|topic| (TopicPartition { topic, partition: Partition(0) }, Position::START)),
        );
        let feed = Feed::start(log, decoder(Event::decode), FeedConfig::default(), from, stop.clone());
        let url = format!("sqlite://{}", dir.path().join("s1.db").display());
        let shards = Shards::new(1, &[ShardConfig { name: "s1".into(), replicas: vec![url] }]).unwrap();
        let runner = teamlog_projectors::Runner::new(feed.clone(), stop.clone());
        shards.projectors().into_iter().for_each(|projector| runner.start(projector));
        let rtm = Rtm::new(config);
        let parts = |writing| IngestParts {
            feed: feed.clone(),
            source: Arc::new(shards.clone()),
            directory: (DirectoryRows::default(), Position::START),
            from: vec![Position::START],
            shard_of: Arc::new(|_| "s1".to_owned()),
            secrets: Arc::new(secrets()),
            node: Uuid::from_u128(1),
            clock: Clock::system(),
            random: Random::system(),
            writing,
            observer: None,
            config: IngestConfig::default(),
        };
        let mut writing = Writing::alone(Uuid::nil());
        if let Some(held) = held {
            held.stand_before(Ingest::start(parts(writing), &tasks, &stop).writers().clone());
            writing = Writing::Elsewhere(held);
        }
        let parts = IngestParts { observer: Some(rtm.clone()), ..parts(writing) };
        let ingest = Ingest::start(parts, &tasks, &stop);
        let gateway = Gateway::new(GatewayParts {
            ingest: ingest.clone(),
            shards,
            cache: Arc::new(LocalCache::new(1 << 20)),
            feed: feed.clone(),
            rtm: rtm.clone(),
            homes,
            search: None,
            credentials: None,
            jobs: None,
            health: Arc::new(Well),
            metrics: None,
            config: GatewayConfig::default(),
        });
        let new = NewTeam {
            domain: "lovelace".to_owned(),
            name: "Lovelace".to_owned(),
            owner: NewPerson {
                name: "ada".to_owned(),
                email: Some("ada@example.com".to_owned()),
                with_token: true,
                ..NewPerson::default()
            },
            team: None,
            channels: None,
            key: None,
            deadline: Instant::now() + WAIT,
        };
        let made = acked(ingest.create_team(new).await);
        let Event::TeamRegistered(created) = &*made.event else { panic!("{made:?}") };
        let token = |acked: &Acked| ingest.secrets().token_of(&acked.event).unwrap();
        let ada = Resident { user: created.owner.user, token: token(&made) };
        let mut house = House {
            gateway: gateway.clone(),
            rtm,
            team: created.meta.team,
            bob: ada.clone(),
            ada,
            here: created.channels[0].conversation,
            stop,
            _dir: dir,
        };
        let person = NewPerson { name: "bob".to_owned(), with_token: true, ..NewPerson::default() };
        let came = house.act(&house.ada, CreateUser(person)).await;
        let Event::UserCreated(created) = &*came.event else { panic!("{came:?}") };
        house.bob = Resident { user: created.person.user, token: token(&came) };
        house.here = house.channel("here").await;
        house.act(&house.bob, Join { conversation: house.here }).await;
        house
    }

    /// A public channel of Ada's.
    pub(crate) async fn channel(&self, name: &str) -> ConversationId {
        let new = CreateConversation {
            conversation: None,
            kind: ConversationKind::PublicChannel,
            name: Some(name.to_owned()),
            members: Vec::new(),
            imported: None,
        };
        let made = self.act(&self.ada, new).await;
        made.event.conversation().unwrap()
    }

    /// Submits a command as `who` and waits until the gateway reflects it.
    pub(crate) async fn act(&self, who: &Resident, command: impl Into<Command>) -> Acked {
        let request = Request {
            team: self.team,
            actor: Some(who.user),
            method: "test".into(),
            key: None,
            deadline: Instant::now() + WAIT,
            traceparent: None,
            command: command.into(),
        };
        let acked = acked(self.gateway.ingest().submit_by_team(request).await);
        self.gateway.ingest().teams().wait_for(acked.partition, acked.seen_at.offset).await.unwrap();
        acked
    }

    pub(crate) async fn say(&self, who: &Resident, text: &str) -> String {
        let post = Post { conversation: Some(self.here), text: text.to_owned(), ..Post::default() };
        self.act(who, post).await.event.given_ts().to_string()
    }

    /// `rtm.connect`, whose answer says where the socket is.
    pub(crate) async fn connect(&self, who: &Resident, args: Value) -> Result<Value, ApiError> {
        let Value::Object(args) = args else { panic!("{args} is no object") };
        let caller = self.gateway.caller(&who.token).await?;
        match rtm::connect(&self.gateway, &caller, &rtm::ConnectArgs::parse(&Args::new(&args))?).await? {
            Reply::Object(answer) => Ok(Value::Object(answer)),
            Reply::Encoded(_) => panic!("rtm.connect is small"),
        }
    }

    /// `rtm.start`.
    pub(crate) async fn start(&self, who: &Resident, args: Value) -> Value {
        let Value::Object(args) = args else { panic!("{args} is no object") };
        let caller = self.gateway.caller(&who.token).await.unwrap();
        match rtm::start(&self.gateway, &caller, &rtm::StartArgs::parse(&Args::new(&args)).unwrap()).await.unwrap() {
            Reply::Object(answer) => Value::Object(answer),
            Reply::Encoded(bytes) => serde_json::from_slice(&bytes).unwrap(),
        }
    }

    pub(crate) async fn session(&self, who: &Resident, args: Value) -> Socket {
        let answer = self.connect(who, args).await.unwrap();
        self.open(answer["url"].as_str().unwrap())
    }

    /// A socket at a url. It takes no frame but those that the test reads, and a few.
    pub(crate) fn open(&self, url: &str) -> Socket {
        let ticket = url.rsplit('/').next().unwrap().to_owned();
        let (say, incoming) = mpsc::unbounded();
        let (outgoing, hear) = mpsc::channel::<Outgoing>(1);
        let sink = outgoing.sink_map_err(|why| SocketError::Broken(why.to_string()));
        tokio::spawn(rtm::serve(self.gateway.clone(), ticket, Box::pin(incoming), Box::pin(sink)));
        Socket { say, hear, closed: None }
    }
}

pub(crate) fn secrets() -> Secrets {
    Secrets::new(["a key of these tests"]).unwrap()
}

fn acked(answer: Answer) -> Acked {
    match answer {
        Answer::Acked(acked) => acked,
        other => panic!("{other:?}"),
    }
}

/// The client's end.
pub(crate) struct Socket {
    say: mpsc::UnboundedSender<Result<Incoming, SocketError>>,
    hear: mpsc::Receiver<Outgoing>,
    pub(crate) closed: Option<u16>,
}

impl Socket {
    pub(crate) fn send(&self, frame: &Value) {
        self.say.unbounded_send(Ok(Incoming::Text(Bytes::from(frame.to_string())))).unwrap();
    }

    /// A frame past the bound, as the transport tells it.
    pub(crate) fn send_too_much(&self) {
        self.say.unbounded_send(Err(SocketError::TooLarge)).unwrap();
    }

    /// Closes it, and hears on.
    pub(crate) fn close(&self) {
        self.say.unbounded_send(Ok(Incoming::Close)).unwrap();
    }

    /// The next frame; none once it is closed.
    pub(crate) async fn frame(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(WAIT, self.hear.next()).await.expect("a frame in time");
            match next? {
                Outgoing::Text(bytes) => return Some(serde_json::from_slice(&bytes).unwrap()),
                Outgoing::Close(code, _) => self.closed = Some(code),
                Outgoing::Ping(_) | Outgoing::Pong(_) => {}
            }
        }
    }

    /// The frames up to one of which this is true, itself included.
    pub(crate) async fn up_to(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let next = self.frame().await;
            let frame = next.unwrap_or_else(|| panic!("closed ({:?}) after {frames:?}", self.closed));
            let last = wanted(&frame);
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }

    /// Ends once it is live: then it is given a url to come back by.
    pub(crate) async fn live(&mut self) -> String {
        let frames = self.up_to(|frame| frame["type"] == "reconnect_url").await;
        frames.last().unwrap()["url"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }
}

/// The texts of the messages that people wrote.
pub(crate) fn texts(frames: &[Value]) -> Vec<&str> {
    let said = |frame: &&Value| frame["type"] == "message" && frame["subtype"].is_null();
    frames.iter().filter(said).map(|frame| frame["text"].as_str().unwrap()).collect()
}
