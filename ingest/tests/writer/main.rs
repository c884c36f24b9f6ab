//! The writer over a log that is faulty from a seed: whatever was acknowledged counts exactly once, whatever crashed.
#![allow(clippy::unwrap_used)]

mod bridge;
mod clock;
mod hand_over;
mod marks;
mod odd_log;
mod timers;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use teamlog_cluster::{Clock, Membership, Random, Secrets};
use teamlog_ingest::{
    Answer, Command, Ingest, IngestConfig, IngestParts, NewPerson, NewTeam, NotAccepted, Refusal, Request, Writing,
    commands::{CreateConversation, Delete, Post},
};
use teamlog_log::{
    Appended, Body, Entry, Feed, FeedConfig, Log, NewRecord, Offset, Partition, Position, Record, Stamp, Topic,
    TopicPartition, claim_value, decoder,
    testing::{Faults, FaultyLog},
};
use teamlog_schemas::{ConversationId, ConversationKind, Event, TeamId, Ts, UserId};
use teamlog_state::{At, DirectoryRows, Facts, FactsWanted, SourceError, TeamRows, TeamSource, Timer, UserState};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use odd_log::OddLog;

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

const PARTITIONS: u32 = 2;

/// A running node on a log.
struct Node {
    ingest: Ingest,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Node {
    fn start(log: &Arc<FaultyLog>) -> Node {
        Node::with_clock(log, Clock::system())
    }

    fn with_clock(log: &Arc<FaultyLog>, clock: Clock) -> Node {
        Node::with(log.clone(), clock, Random::system())
    }

    fn with(log: Arc<dyn Log>, clock: Clock, random: Random) -> Node {
        Node::writing(log, clock, random, Writing::alone(Uuid::new_v4()))
    }

    /// A node that writes while the table says so.
    fn placed(log: &Arc<FaultyLog>, members: &watch::Sender<Arc<Membership>>) -> Node {
        Node::writing(log.clone(), Clock::system(), Random::system(), Writing::Here(members.subscribe()))
    }

    fn writing(log: Arc<dyn Log>, clock: Clock, random: Random, writing: Writing) -> Node {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let mut sources = vec![(TopicPartition::DIRECTORY, Position::START)];
        for number in 0..PARTITIONS {
            let marks = TopicPartition { topic: Topic::Marks, partition: Partition(number) };
            sources.push((TopicPartition::events(Partition(number)), Position::START));
            sources.push((marks, Position::bare(Offset::ZERO)));
        }
        let feed = Feed::start(log, decoder(Event::decode), FeedConfig::default(), sources, stop.child_token());
        let ingest = Ingest::start(
            IngestParts {
                feed,
                source: Arc::new(Nothing),
                directory: (DirectoryRows::default(), Position::START),
                from: vec![Position::START; PARTITIONS as usize],
                shard_of: Arc::new(|_| "s1".to_owned()),
                secrets: Arc::new(Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap()),
                node: Uuid::new_v4(),
                clock,
                random,
                writing,
                observer: None,
                config: IngestConfig::default(),
            },
            &tasks,
            &stop,
        );
        Node { ingest, tasks, stop }
    }

    /// Dies with whatever is in flight: nothing is drained, for the tasks are only told to end.
    fn crash(self) {
        self.stop.cancel();
        drop(self);
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// How long a post is tried: several times as long as one try may take.
const TRIES: Duration = Duration::from_secs(120);

/// Lets so much time pass, whatever happens meanwhile: at once, where the clock is paused.
async fn time_passes(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Ends once it is so, which is not waited for longer than any post is tried.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let come = async {
        while !is_so().await {
            time_passes(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(TRIES, come).await.expect("it never came to be so");
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn request(team: TeamId, actor: Option<UserId>, key: Option<String>, command: Command) -> Request {
    Request { team, actor, method: "chat.postMessage".into(), key, deadline: deadline(), traceparent: None, command }
}

async fn make_team(node: &Node, domain: &str) -> (TeamId, UserId, ConversationId) {
    let new = || NewTeam {
        domain: domain.to_owned(),
        name: domain.to_owned(),
        owner: NewPerson { name: "ada".to_owned(), email: Some("ada@example.com".to_owned()), ..NewPerson::default() },
        team: None,
        channels: None,
        key: Some(format!("make-{domain}")),
        deadline: deadline(),
    };
    loop {
        match node.ingest.create_team(new()).await {
            Answer::Acked(acked) => {
                let Event::TeamRegistered(team) = &*acked.event else { panic!("{:?}", acked.event) };
                return (team.meta.team, team.owner.user, team.channels[0].conversation);
            }
            Answer::NotAccepted { .. } | Answer::Unknown => {}
            other => panic!("{other:?}"),
        }
    }
}

fn post(conversation: ConversationId, text: &str) -> Command {
    Command::from(Post { conversation: Some(conversation), text: text.to_owned(), ..Post::default() })
}

/// The counted posts of a partition, by the judgement of a feed of its own that starts at the beginning.
async fn counted_posts(log: &Arc<FaultyLog>, source: TopicPartition) -> Vec<(String, Ts)> {
    let stop = CancellationToken::new();
    let dynamic: Arc<dyn Log> = log.clone();
    let end = dynamic.end(source).await.unwrap();
    let from = vec![(source, Position::START)];
    let feed = Feed::start(dynamic, decoder(Event::decode), FeedConfig::default(), from, stop.child_token());
    let mut subscriber = feed.subscribe(source, Position::START);
    let mut posts = Vec::new();
    while subscriber.position().offset < end {
        for entry in subscriber.next().await.unwrap() {
            let entry: Arc<Entry<Event>> = entry;
            if let Body::Event(event) = &entry.body
                && let Event::MessagePosted(posted) = &**event
            {
                posts.push((posted.message.text.plain.clone(), posted.message.ts));
            }
        }
    }
    stop.cancel();
    posts
}

/// Posts under keys with retries, while appends fail, get lost, come twice or late, and the node is killed.
async fn nothing_is_lost(seed: u64) {
    let log = FaultyLog::new(PARTITIONS, Faults::chaos(seed));
    let mut node = Node::start(&log);
    let (team, ada, general) = make_team(&node, "acme").await;
    let mut acknowledged: HashMap<String, Ts> = HashMap::new();
    for round in 0..3 {
        let posts = (0..40).map(|number| {
            let (ingest, stop, text) = (node.ingest.clone(), node.stop.clone(), format!("{round}/{number}"));
            tokio::spawn(async move {
                let until = Instant::now() + TRIES;
                // A node that was killed does not come back under this handle.
                while Instant::now() < until && !stop.is_cancelled() {
                    let ask = request(team, Some(ada), Some(text.clone()), post(general, &text));
                    match ingest.submit_by_team(ask).await {
                        Answer::Acked(acked) => return (text, Some(acked.event.given_ts())),
                        Answer::NotAccepted { .. } | Answer::Unknown => tokio::task::yield_now().await,
                        other => panic!("seed {seed}: {other:?}"),
                    }
                }
                (text, None)
            })
        });
        let posts: Vec<_> = posts.collect();
        if round == 1 {
            // In the middle of them.
            tokio::task::yield_now().await;
            node.crash();
            node = Node::start(&log);
        }
        for posted in posts {
            if let (text, Some(ts)) = posted.await.unwrap() {
                acknowledged.insert(text, ts);
            }
        }
    }
    assert!(acknowledged.len() >= 80, "seed {seed}: only {} acknowledged", acknowledged.len());
    // A retry gives the first answer, whoever gave it.
    let (text, ts) = acknowledged.iter().next().unwrap();
    let ask = request(team, Some(ada), Some(text.clone()), post(general, "another text"));
    match node.ingest.submit_by_team(ask).await {
        Answer::Acked(acked) => assert_eq!(acked.event.given_ts(), *ts, "seed {seed}"),
        other => panic!("seed {seed}: {other:?}"),
    }
    let partition = node.ingest.directory().by_team(team).unwrap().partition;
    node.end().await;
    let counted = counted_posts(&log, TopicPartition::events(Partition(partition))).await;
    let texts: HashSet<_> = counted.iter().map(|(text, _)| text).collect();
    assert_eq!(texts.len(), counted.len(), "seed {seed}: a post counts twice");
    assert!(counted.is_sorted_by(|one, next| one.1 < next.1), "seed {seed}: ts does not increase");
    let counted: HashMap<_, _> = counted.into_iter().collect();
    for (text, ts) in &acknowledged {
        assert_eq!(counted.get(text), Some(ts), "seed {seed}: {text} was acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_counts_once_whatever_fails() {
    for seed in 0..8 {
        nothing_is_lost(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_a_partition_do_no_harm() {
    let log = FaultyLog::plain(PARTITIONS);
    let (one, other) = (Node::start(&log), Node::start(&log));
    let (team, ada, general) = make_team(&one, "acme").await;
    other.ingest.directory().wait_for(Offset(1)).await.unwrap();
    let mut acknowledged = HashMap::new();
    for number in 0..30 {
        let text = number.to_string();
        let node = if number / 5 % 2 == 0 { &one } else { &other };
        let until = Instant::now() + TRIES;
        while Instant::now() < until {
            let ask = request(team, Some(ada), Some(text.clone()), post(general, &text));
            match node.ingest.submit_by_team(ask).await {
                Answer::Acked(acked) => {
                    acknowledged.insert(text.clone(), acked.event.given_ts());
                    break;
                }
                Answer::Refused(Refusal::TeamNotFound) | Answer::NotAccepted { .. } | Answer::Unknown => {
                    tokio::task::yield_now().await;
                }
                answer => panic!("{answer:?}"),
            }
        }
    }
    assert_eq!(acknowledged.len(), 30);
    let partition = one.ingest.directory().by_team(team).unwrap().partition;
    one.end().await;
    other.end().await;
    let counted = counted_posts(&log, TopicPartition::events(Partition(partition))).await;
    assert_eq!(counted.len(), 30);
    assert_eq!(counted.into_iter().collect::<HashMap<_, _>>(), acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_given_once_and_a_refusal_was_true() {
    let log = FaultyLog::plain(PARTITIONS);
    let node = Node::start(&log);
    let (team, ada, _) = make_team(&node, "acme").await;
    let create = || {
        let new = CreateConversation {
            conversation: None,
            kind: ConversationKind::PublicChannel,
            name: Some("plans".to_owned()),
            members: Vec::new(),
            imported: None,
        };
        request(team, Some(ada), None, Command::from(new))
    };
    let answers = futures::future::join_all((0..20).map(|_| node.ingest.submit_by_team(create()))).await;
    let made = answers.iter().filter(|answer| matches!(answer, Answer::Acked(_))).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Answer::Refused(Refusal::NameTaken))).count();
    assert_eq!((made, refused), (1, 19));
    node.end().await;
}

/// The shard has seen neither the thread nor the reply: that it is one, and what is left, stands in the tail alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_no_shard_has_seen_leaves_its_thread_right() {
    let log = FaultyLog::plain(PARTITIONS);
    let node = Node::start(&log);
    let (team, ada, general) = make_team(&node, "acme").await;
    let does = async |command| match node.ingest.submit_by_team(request(team, Some(ada), None, command)).await {
        Answer::Acked(acked) => acked.event,
        answer => panic!("{answer:?}"),
    };
    let root = does(post(general, "root")).await.given_ts();
    let reply = || {
        Command::from(Post {
            conversation: Some(general),
            text: "reply".to_owned(),
            thread_ts: Some(root),
            ..Post::default()
        })
    };
    let (first, second) = (does(reply()).await.given_ts(), does(reply()).await.given_ts());
    let deleted = does(Command::from(Delete { conversation: general, ts: second })).await;
    let Event::MessageDeleted(deleted) = &*deleted else { panic!("{deleted:?}") };
    let thread = deleted.thread.as_ref().unwrap();
    assert_eq!((thread.root, thread.root_author, thread.reply_count), (root, Some(ada), 1));
    assert_eq!((thread.latest_reply, &*thread.reply_users), (Some(first), &[ada][..]));
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_log_away_commands_are_answered_at_their_deadline() {
    let log = FaultyLog::plain(PARTITIONS);
    let node = Node::start(&log);
    let (team, ada, general) = make_team(&node, "acme").await;
    log.set_unavailable(true);
    let soon = |text: &str| {
        let mut ask = request(team, Some(ada), Some(text.to_owned()), post(general, text));
        ask.deadline = Instant::now() + Duration::from_millis(500);
        ask
    };
    let answer = node.ingest.submit_by_team(soon("first")).await;
    assert!(matches!(answer, Answer::Unknown | Answer::NotAccepted { .. }), "{answer:?}");
    log.set_unavailable(false);
    let mut ask = request(team, Some(ada), Some("first".to_owned()), post(general, "first"));
    ask.deadline = deadline();
    let answer = node.ingest.submit_by_team(ask).await;
    assert!(matches!(answer, Answer::Acked(_)), "{answer:?}");
    node.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_an_unknown_outcome_with_the_log_still_away_is_not_called_not_done() {
    let log = FaultyLog::plain(PARTITIONS);
    let node = Node::start(&log);
    let (team, ada, general) = make_team(&node, "acme").await;
    let tried = async |key: &str| {
        node.ingest.submit_by_team(request(team, Some(ada), Some(key.to_owned()), post(general, key))).await
    };
    log.set_unavailable(true);
    let first = tried("first").await;
    assert!(matches!(first, Answer::Unknown), "{first:?}");
    let repeated = tried("first").await;
    assert!(matches!(repeated, Answer::Unknown), "it may be in the log, or come yet: {repeated:?}");
    let other = tried("other").await;
    assert!(matches!(other, Answer::NotAccepted { .. }), "it was never handed to the log: {other:?}");
    log.set_unavailable(false);
    let found = tried("first").await;
    assert!(matches!(found, Answer::Acked(_)), "{found:?}");
    node.end().await;
}

/// Each comes alone, so each would be an append of its own.
#[tokio::test(start_paused = true)]
async fn what_is_decided_while_two_appends_are_under_way_goes_with_the_next_one() {
    let log = OddLog::over(&FaultyLog::plain(PARTITIONS));
    let node = Node::with(log.clone(), Clock::system(), Random::system());
    let (team, ada, general) = make_team(&node, "acme").await;
    log.hangs.send_replace(true);
    let before = log.appends.load(Ordering::Relaxed);
    let mut posts = Vec::new();
    for number in 0..10 {
        let (ingest, ask) = (node.ingest.clone(), request(team, Some(ada), None, post(general, &number.to_string())));
        posts.push(tokio::spawn(async move { ingest.submit_by_team(ask).await }));
        time_passes(Duration::from_millis(1)).await;
    }
    assert_eq!(log.appends.load(Ordering::Relaxed) - before, 2);
    log.hangs.send_replace(false);
    let answers = futures::future::try_join_all(posts).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Acked(_))), "{answers:?}");
    assert_eq!(log.appends.load(Ordering::Relaxed) - before, 3);
    let order: Vec<_> = answers.iter().map(|answer| answer.seen_at().unwrap().1.offset).collect();
    assert!(order.is_sorted(), "{order:?}");
    node.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_what_is_under_way_in_a_log_that_hangs_is_not_called_not_done() {
    let log = OddLog::over(&FaultyLog::plain(PARTITIONS));
    let node = Node::with(log.clone(), Clock::system(), Random::system());
    let (team, ada, general) = make_team(&node, "acme").await;
    log.hangs.send_replace(true);
    let tried = |key: &str| request(team, Some(ada), Some(key.to_owned()), post(general, key));
    let mut tries = Vec::new();
    for key in ["first", "second", "third"] {
        let (ingest, ask) = (node.ingest.clone(), tried(key));
        tries.push(tokio::spawn(async move { ingest.submit_by_team(ask).await }));
        time_passes(Duration::from_millis(1)).await;
    }
    // Another process's, which knows nothing of the tries before.
    let other = Node::writing(
        log.clone(),
        Clock::system(),
        Random::system(),
        Writing::Elsewhere(node.ingest.writers().clone()),
    );
    until(async || other.ingest.teams().are_current()).await;
    for key in ["first", "third"] {
        let repeated = other.ingest.submit_by_team(tried(key)).await;
        assert!(matches!(repeated, Answer::Unknown), "{key}: {repeated:?}");
    }
    log.hangs.send_replace(false);
    for key in ["first", "second", "third"] {
        let found = other.ingest.submit_by_team(tried(key)).await;
        assert!(matches!(found, Answer::Acked(_)), "{key}: {found:?}");
    }
    node.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_try_whose_caller_went_away_is_not_called_not_done() {
    let log = FaultyLog::plain(PARTITIONS);
    let node = Node::start(&log);
    let (team, ada, general) = make_team(&node, "acme").await;
    let tried = || request(team, Some(ada), Some("key".to_owned()), post(general, "key"));
    log.set_unavailable(true);
    let gone = tokio::time::timeout(Duration::from_millis(10), node.ingest.submit_by_team(tried())).await;
    assert!(gone.is_err());
    // Its record may be on its way for as long as that.
    time_passes(TRIES).await;
    let repeated = node.ingest.submit_by_team(tried()).await;
    assert!(matches!(repeated, Answer::Unknown), "{repeated:?}");
    node.end().await;
}

/// No message is posted, so the log gets only the claims of the two writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_take_a_partition_from_each_other_less_and_less() {
    let log = FaultyLog::plain(PARTITIONS);
    let node = || Node::with(log.clone(), Clock::system(), Random::new(|| 0));
    let (one, other) = (node(), node());
    let source = TopicPartition::events(Partition(0));
    let mut entries = one.ingest.teams().feed().subscribe(source, Position::START);
    let mut taken = async |times: u64| {
        while entries.position().epoch < times {
            entries.next().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), taken(2)).await.unwrap();
    let since = Instant::now();
    tokio::time::timeout(Duration::from_secs(30), taken(10)).await.unwrap();
    // Each of the two waits 100 ms, then 200, 400 and 800, one after the other.
    assert!(since.elapsed() > Duration::from_millis(2_000), "{:?}", since.elapsed());
    one.end().await;
    other.end().await;
}

/// The team was begun by its owner, and the other node has not read up to that event.
#[tokio::test(start_paused = true)]
async fn who_lags_behind_the_owner_looks_only_once_it_has_read_what_the_answer_was_given_by() {
    let log = FaultyLog::plain(PARTITIONS);
    let owner = Node::start(&log);
    let lagging = OddLog::over(&log);
    let elsewhere = Writing::Elsewhere(owner.ingest.writers().clone());
    let behind = Node::writing(lagging.clone(), Clock::system(), Random::system(), elsewhere);
    until(async || behind.ingest.teams().are_current()).await;
    lagging.lags.send_replace(true);
    let (team, ..) = make_team(&owner, "acme").await;
    let ingest = behind.ingest.clone();
    let found = tokio::spawn(async move { ingest.team(team).await });
    // By then the owner has answered that there is nothing to do.
    time_passes(Duration::from_secs(1)).await;
    lagging.lags.send_replace(false);
    let found = found.await.unwrap();
    assert!(found.is_ok(), "{:?}", found.err());
}

/// A newer program's event: whoever cannot read it must not take the partition from who can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_cannot_read_an_event_leaves_the_partition_alone() {
    let log = FaultyLog::plain(PARTITIONS);
    let node = Node::start(&log);
    let (team, ada, general) = make_team(&node, "acme").await;
    let source = TopicPartition::events(Partition(node.ingest.directory().by_team(team).unwrap().partition));
    let at = node.ingest.teams().position(source.partition);
    node.end().await;
    let append = async |value: Bytes, stamp: Stamp| {
        let record = NewRecord { key: None, value: Some(value), stamp, writer: None, traceparent: None };
        let appended = log.append(source, vec![record]).await.pop();
        assert!(matches!(appended, Some(Appended::At(_))), "{appended:?}");
    };
    let claim = |epoch| Stamp::Claim { epoch, claim: Uuid::new_v4(), log_id: at.log_id };
    append(claim_value("newer", 0), claim(at.epoch + 1)).await;
    // Schema 9,999 in the wire format.
    append(Bytes::from_static(b"\0\0\0\x27\x0f?"), Stamp::Seq { epoch: at.epoch + 1, seq: 0 }).await;

    let older = Node::start(&log);
    let refused = async || loop {
        let ask = request(team, Some(ada), None, post(general, "?"));
        match older.ingest.submit_by_team(ask).await {
            // It has not read the directory yet.
            Answer::Refused(Refusal::TeamNotFound) => tokio::task::yield_now().await,
            Answer::NotAccepted { why, .. } => return assert_eq!(why, NotAccepted::Unreadable),
            answer => panic!("{answer:?}"),
        }
    };
    refused().await;
    append(claim_value("newer", 0), claim(at.epoch + 2)).await;
    let end = log.end(source).await.unwrap();
    refused().await;
    // Its other partition and the directory it writes: the rest was read too.
    until(async || !older.ingest.writes().is_empty()).await;
    assert_eq!(older.ingest.writes(), [1 - source.partition.0]);
    assert_eq!(log.end(source).await.unwrap(), end, "it claimed");
    older.end().await;
}
