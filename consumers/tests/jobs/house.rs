//! Nodes that write and work over one log, and a consumer that is told from outside how to fare.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use teamlog_cluster::{Clock, Random, Secrets};
use teamlog_consumers::{Consumer, Job, JobBudget, JobEnd, JobRunner, Ledger, Letter, Rate, RetryPolicy, World};
use teamlog_ingest::{
    Answer, Command, Ingest, IngestConfig, IngestParts, NewPerson, NewTeam, Request, Writing, commands::Post,
};
use teamlog_log::{
    EmbeddedConfig, EmbeddedLog, Feed, FeedConfig, Log, Offset, Partition, Position, Record, Topic, TopicPartition,
    Undecodable,
    testing::{Faults, FaultyLog},
};
use teamlog_projectors::Shards;
use teamlog_schemas::{ConversationId, Event, TeamId, Ts, UserId};
use teamlog_state::{At, DirectoryRows, Facts, FactsWanted, SourceError, TeamRows, TeamSource, Timer, UserState};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub(crate) const PARTITIONS: u32 = 2;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shard that has seen nothing yet: everything comes from the tail.
struct Nothing;

#[async_trait]
impl TeamSource<Position> for Nothing {
    async fn team(&self, _: &str, _: TeamId) -> Result<At<Position, Option<TeamRows>>, SourceError> {
        Ok(At { position: Position::START, rows: None })
    }

    async fn facts(&self, _: &str, _: TeamId, wanted: &[FactsWanted]) -> Result<At<Position, Vec<Facts>>, SourceError> {
        Ok(At { position: Position::START, rows: wanted.iter().map(Facts::of_no_rows).collect() })
    }

    async fn timers(&self, _: &str, _: u32, _: Ts, _: usize) -> Result<At<Position, Vec<Timer>>, SourceError> {
        Ok(At { position: Position::START, rows: Vec::new() })
    }

    async fn user(&self, _: &str, _: TeamId, _: UserId) -> Result<At<Position, UserState>, SourceError> {
        Ok(At { position: Position::bare(Offset::ZERO), rows: UserState::default() })
    }
}

/// How the work of a text fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Works,
    Fails,
    Never,
    Panics,
}

/// The outside world, shared by the consumers of all nodes of a test.
#[derive(Default)]
pub(crate) struct Outside {
    /// By the text of the message.
    pub(crate) fates: Mutex<HashMap<String, Fate>>,
    /// Runs that began, in order: the text and the piece's number.
    pub(crate) runs: Mutex<Vec<(String, u32)>>,
    pub(crate) running: AtomicUsize,
    pub(crate) running_most: AtomicUsize,
}

/// Answers each message that begins with `say` twice, as its author: two pieces of work.
pub(crate) struct Echo {
    pub(crate) outside: Arc<Outside>,
    pub(crate) budget: JobBudget,
    /// Each run takes a permit for good before it goes on.
    pub(crate) gate: Arc<Semaphore>,
}

pub(crate) struct Answering {
    pub(crate) user: UserId,
    pub(crate) conversation: ConversationId,
    pub(crate) text: String,
}

#[async_trait]
impl Consumer for Echo {
    const NAME: &'static str = "echo";
    type Work = Answering;

    fn work(&self, event: &Event) -> Vec<Answering> {
        let Event::MessagePosted(posted) = event else { return Vec::new() };
        let text = &posted.message.text.plain;
        let Some(user) = posted.meta.actor.filter(|_| text.starts_with("say")) else { return Vec::new() };
        assert!(!text.contains("unreadable"), "told to");
        let answer = || Answering { user, conversation: posted.conversation, text: text.clone() };
        vec![answer(), answer()]
    }

    async fn run(&self, world: &World, job: &Job<Answering>) -> JobEnd {
        let text = &job.work.text;
        self.outside.runs.lock().push((text.clone(), job.id.number));
        let now = self.outside.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.outside.running_most.fetch_max(now, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let end = self.answer(world, job).await;
        self.outside.running.fetch_sub(1, Ordering::SeqCst);
        end
    }

    fn budget(&self) -> JobBudget {
        self.budget
    }
}

impl Echo {
    async fn answer(&self, world: &World, job: &Job<Answering>) -> JobEnd {
        let Answering { user, conversation, text } = &job.work;
        let fate = self.outside.fates.lock().get(text).copied().unwrap_or_default();
        match fate {
            Fate::Works => {}
            Fate::Fails => return JobEnd::again("told to"),
            Fate::Never => return JobEnd::Never("told to".to_owned()),
            Fate::Panics => panic!("told to"),
        }
        match world.submit(job, Some(*user), post(*conversation, &format!("echo of {text}, {}", job.id.number))).await {
            Ok(_) => JobEnd::Done,
            Err(why) => why.into(),
        }
    }
}

pub(crate) fn post(conversation: ConversationId, text: &str) -> Command {
    Post { conversation: Some(conversation), text: text.to_owned(), ..Post::default() }.into()
}

/// Tries within a second, so that no test waits for long.
pub(crate) fn quick() -> JobBudget {
    let retry = RetryPolicy {
        first: Duration::from_millis(10),
        last: Duration::from_millis(100),
        tries_max: 3,
        age_max: Duration::from_secs(60),
    };
    // No test is about how fast its work begins, but the one that says so.
    let rate = Rate::per_second(1_000_000);
    JobBudget { retry, rate, team_rate: rate, ..JobBudget::default() }
}

/// As [`quick`], with tries enough for a log that fails at random.
pub(crate) fn patient() -> JobBudget {
    let retry = RetryPolicy { tries_max: 1_000, age_max: Duration::from_secs(3_600), ..quick().retry };
    JobBudget { retry, ..quick() }
}

fn decode(record: &Record) -> Result<Event, Undecodable> {
    let value = record.value.as_deref().unwrap_or_default();
    Event::decode(value).map_err(|why| Undecodable { schema_id: record.schema_id(), why: why.to_string() })
}

/// A process of a test: writers, feed, and consumers.
pub(crate) struct Node {
    pub(crate) ingest: Ingest,
    pub(crate) runner: JobRunner,
    pub(crate) mine: watch::Sender<BTreeSet<Partition>>,
    pub(crate) outside: Arc<Outside>,
    pub(crate) gate: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

pub(crate) struct Birth {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) outside: Arc<Outside>,
    pub(crate) budget: JobBudget,
    pub(crate) gate: usize,
    pub(crate) ring_bytes_max: usize,
    pub(crate) has_consumer: bool,
}

impl Birth {
    pub(crate) fn of(log: Arc<dyn Log>, budget: JobBudget) -> Birth {
        Birth {
            log,
            outside: Arc::default(),
            budget,
            gate: Semaphore::MAX_PERMITS,
            ring_bytes_max: 1 << 20,
            has_consumer: true,
        }
    }

    pub(crate) fn with(mut self, outside: &Arc<Outside>) -> Birth {
        self.outside = outside.clone();
        self
    }

    /// Starts a process that writes and works in every partition.
    pub(crate) fn start(self) -> Node {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut sources = vec![(TopicPartition::DIRECTORY, Position::START)];
        for partition in (0..PARTITIONS).map(Partition) {
            sources.push((TopicPartition::events(partition), Position::START));
            sources.push((TopicPartition { topic: Topic::Marks, partition }, Position::bare(Offset::ZERO)));
        }
        let sizes = FeedConfig { ring_bytes_max: self.ring_bytes_max, ..FeedConfig::default() };
        let feed = Feed::start(self.log.clone(), Arc::new(decode), sizes, sources, stop.child_token());
        let parts = IngestParts {
            feed: feed.clone(),
            source: Arc::new(Nothing),
            directory: (DirectoryRows::default(), Position::START),
            from: vec![Position::START; PARTITIONS as usize],
            shard_of: Arc::new(|_| "s1".to_owned()),
            secrets: Arc::new(Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap()),
            node: Uuid::new_v4(),
            clock: Clock::system(),
            random: Random::system(),
            writing: Writing::alone(Uuid::new_v4()),
            observer: None,
            config: IngestConfig::default(),
        };
        let ingest = Ingest::start(parts, &tasks, &stop);
        let ledger = Ledger::start(self.log, PARTITIONS, stop.child_token());
        let runner = JobRunner::new(feed, ledger, Clock::system(), Random::system(), stop.child_token());
        let mine = watch::Sender::new((0..PARTITIONS).map(Partition).collect());
        let gate = Arc::new(Semaphore::new(self.gate));
        let echo = Echo { outside: self.outside.clone(), budget: self.budget, gate: gate.clone() };
        let world = World::new(ingest.clone(), Shards::new(PARTITIONS, &[]).unwrap());
        if self.has_consumer {
            runner.start(echo, world, mine.subscribe());
        }
        Node { ingest, runner, mine, outside: self.outside, gate, tasks, stop }
    }
}

pub(crate) struct Crew {
    pub(crate) team: TeamId,
    pub(crate) ada: UserId,
    pub(crate) general: ConversationId,
    pub(crate) partition: Partition,
}

impl Node {
    pub(crate) async fn begun(&self) {
        tokio::time::timeout(PATIENCE, self.runner.begun()).await.expect("it does not begin");
    }

    /// Dies with all that is under way.
    pub(crate) fn crash(self) {
        self.stop.cancel();
    }

    /// Stops in good order.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.runner.stopped().await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) async fn make_team(&self, domain: &str) -> Crew {
        loop {
            let new = NewTeam {
                domain: domain.to_owned(),
                name: domain.to_owned(),
                owner: NewPerson { name: "ada".to_owned(), ..NewPerson::default() },
                team: None,
                channels: None,
                key: Some(format!("make-{domain}")),
                deadline: Instant::now() + Duration::from_secs(10),
            };
            match self.ingest.create_team(new).await {
                Answer::Acked(acked) => {
                    let Event::TeamRegistered(made) = &*acked.event else { panic!("{:?}", acked.event) };
                    let partition = Partition(self.ingest.directory().by_team(made.meta.team).unwrap().partition);
                    let (team, ada, general) = (made.meta.team, made.owner.user, made.channels[0].conversation);
                    return Crew { team, ada, general, partition };
                }
                Answer::NotAccepted { .. } | Answer::Unknown => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Makes a team in the partition of another one.
    pub(crate) async fn make_team_beside(&self, other: &Crew) -> Crew {
        for number in 0.. {
            let crew = self.make_team(&format!("beside{number}")).await;
            if crew.partition == other.partition {
                return crew;
            }
        }
        unreachable!("teams are spread over the partitions")
    }

    /// Posts once, however often that has to be tried; false if this process ended before that was known.
    pub(crate) async fn say(&self, crew: &Crew, text: &str) -> bool {
        let until = Instant::now() + PATIENCE;
        while !self.stop.is_cancelled() {
            assert!(Instant::now() < until, "{text} could not be posted");
            let request = Request {
                team: crew.team,
                actor: Some(crew.ada),
                method: "chat.postMessage".into(),
                key: Some(text.to_owned()),
                deadline: Instant::now() + Duration::from_secs(10),
                traceparent: None,
                command: post(crew.general, text),
            };
            match self.ingest.submit_by_team(request).await {
                Answer::Acked(_) => return true,
                Answer::NotAccepted { .. } | Answer::Unknown => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
        false
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.runner.ledger().letters(|_| true)
    }
}

/// Every message that counts, and how often.
pub(crate) async fn counted(log: &Arc<dyn Log>) -> BTreeMap<String, usize> {
    let stop = CancellationToken::new();
    let mut counted = BTreeMap::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let source = TopicPartition::events(partition);
        let end = loop {
            match log.end(source).await {
                Ok(end) => break end,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let from = vec![(source, Position::START)];
        let feed = Feed::start(log.clone(), Arc::new(decode), FeedConfig::default(), from, stop.child_token());
        let mut subscriber = feed.subscribe(source, Position::START);
        while subscriber.position().offset < end {
            for entry in subscriber.next().await.unwrap_or_default() {
                if let Some(Event::MessagePosted(posted)) = entry.event().map(|event| &**event) {
                    *counted.entry(posted.message.text.plain.clone()).or_default() += 1;
                }
            }
        }
    }
    stop.cancel();
    counted
}

/// The echoes that there must be of these messages, once each.
pub(crate) fn echoes<'a>(texts: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, usize> {
    texts.into_iter().flat_map(|text| (0..2).map(move |number| (format!("echo of {text}, {number}"), 1))).collect()
}

/// The echoes that there are.
pub(crate) async fn echoed(log: &Arc<dyn Log>) -> BTreeMap<String, usize> {
    counted(log).await.into_iter().filter(|(text, _)| text.starts_with("echo")).collect()
}

/// Ends once it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let come = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, come).await.unwrap_or_else(|_| panic!("it never came to be so: {what}"));
}

/// The logs that every test of this file's users runs on: in memory, and a file.
pub(crate) async fn logs() -> Vec<(Arc<dyn Log>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let sizes = EmbeddedConfig { partitions: PARTITIONS, ..EmbeddedConfig::default() };
    let file = EmbeddedLog::open(&folder.path().join("log.sqlite"), sizes).await.unwrap();
    vec![(FaultyLog::new(PARTITIONS, Faults::none()), None), (file, Some(folder))]
}
