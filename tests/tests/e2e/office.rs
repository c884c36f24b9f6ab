//! A whole office loses its connection and comes back at once: it is let in bit by bit, misses nothing, costs one load of
//! its team and no more bytes a head than a few do, and another team goes on meanwhile.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use teamlog_tests::{Answer, Api, Engine, Options, Server, Socket, WAIT, open_files, size};
use tokio::sync::watch;

/// Far fewer than come at once.
const JOINING_MAX: usize = 100;
/// The other team's calls may take so long while the office comes back. Generous: what they took is printed.
const OTHERS_MAX: Duration = Duration::from_secs(2);

struct Seat {
    api: Api,
    socket: Option<Socket>,
    cursor: String,
    /// The number of the last message received.
    heard: usize,
}

/// The cost of the return of one seat.
#[derive(Default)]
struct Cost {
    calls: usize,
    /// Seconds that it was told to wait, and waited.
    waits: Vec<u64>,
    /// Of answers and of frames that are no messages.
    bytes: usize,
}

/// The poster of a channel, which numbers its messages from 1 on.
struct Speaker {
    channel: String,
    begun: AtomicUsize,
    acked: AtomicUsize,
    /// The number of seats that have reconnected in this round.
    back: watch::Sender<usize>,
}

impl Speaker {
    async fn say(&self, api: &Api, and: &str) {
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        api.say(&self.channel, &format!("{number}{and}")).await;
        self.acked.store(number, Ordering::SeqCst);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

impl Seat {
    /// Calls until it is let in, and waits as long as each answer says.
    async fn enter(&self, method: &str, args: &Value, cost: &mut Cost) -> Answer {
        loop {
            let answer = self.api.ask(method, args).await.unwrap_or_else(|why| panic!("{method}: {why:?}"));
            cost.calls += 1;
            cost.bytes += answer.bytes;
            if answer.status == 200 && answer.body["ok"] == true {
                return answer;
            }
            assert_eq!((answer.status, &answer.body["error"]), (429, &json!("ratelimited")), "{answer:?}");
            let wait = answer.retry_after.expect("who is refused for now is told how long");
            cost.waits.push(wait);
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    /// Reconnects, by cursor or fresh, and receives everything up to the round's end, each message once.
    async fn come_back(&mut self, by_cursor: bool, speaker: &Speaker, end: &str) -> Cost {
        let mut cost = Cost::default();
        let acked = speaker.acked.load(Ordering::SeqCst);
        let (method, args) = if by_cursor {
            ("rtm.connect", json!({ "cursors": true, "cursor": self.cursor }))
        } else {
            ("rtm.start", json!({ "cursors": true }))
        };
        let answer = self.enter(method, &args, &mut cost).await;
        let begun = speaker.begun.load(Ordering::SeqCst);
        self.cursor = text(&answer.body["cursor"]);
        let mut socket = Socket::open(answer.body["url"].as_str().unwrap()).await.expect("who was let in may open it");
        speaker.back.send_modify(|back| *back += 1);
        let (mut first, mut messages) = (true, 0);
        loop {
            let before = socket.bytes;
            let frame = socket.frame().await.expect("nobody ends the session");
            if frame["type"] != "message" {
                continue;
            }
            messages += socket.bytes - before;
            let words = frame["text"].as_str().unwrap();
            let number: usize = words.split(' ').next().unwrap().parse().unwrap();
            if first && !by_cursor {
                assert!(acked < number && number <= begun + 1, "began with {number}: {acked} was there, {begun} begun");
            } else {
                assert_eq!(number, self.heard + 1, "by cursor: {by_cursor}");
            }
            (self.heard, first) = (number, false);
            self.cursor = text(&frame["cursor"]);
            if words.ends_with(end) {
                break;
            }
        }
        cost.bytes += socket.bytes - messages;
        self.socket = Some(socket);
        cost
    }
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

/// Posts and joins of another team, until it is told to stop: how long each took.
struct Others {
    posts: Arc<Mutex<Vec<Duration>>>,
    joins: Arc<Mutex<Vec<Duration>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Others {
    fn start(api: &Api, channel: &str) -> Others {
        let (posts, joins) = (Arc::<Mutex<Vec<Duration>>>::default(), Arc::<Mutex<Vec<Duration>>>::default());
        let posting = {
            let (api, channel, posts) = (api.clone(), channel.to_owned(), posts.clone());
            async move {
                loop {
                    let began = Instant::now();
                    api.say(&channel, "meanwhile").await;
                    posts.lock().unwrap().push(began.elapsed());
                }
            }
        };
        let joining = {
            let (api, joins) = (api.clone(), joins.clone());
            async move {
                loop {
                    let began = Instant::now();
                    // Never refused: the bound on those who join is a team's own.
                    api.connect(json!({})).await.cut();
                    joins.lock().unwrap().push(began.elapsed());
                }
            }
        };
        Others { posts, joins, tasks: vec![tokio::spawn(posting), tokio::spawn(joining)] }
    }

    async fn at_least(&self, count: usize) {
        let enough = async {
            while self.posts.lock().unwrap().len() < count || self.joins.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT, enough).await.expect("the other team goes on");
    }

    /// Returns the p99 of the posts and of the joins.
    async fn stop(self) -> (Duration, Duration) {
        self.at_least(20).await;
        for task in self.tasks {
            task.abort();
            if let Err(why) = task.await {
                assert!(why.is_cancelled(), "{why}");
            }
        }
        let (mut posts, mut joins) = (self.posts.lock().unwrap().clone(), self.joins.lock().unwrap().clone());
        (p99(&mut posts), p99(&mut joins))
    }
}

struct Office {
    server: Server,
    owner: Api,
    speaker: Arc<Speaker>,
    seats: Vec<Seat>,
    other: (Api, String),
}

impl Office {
    async fn open(engine: Engine, people: usize) -> Office {
        let mut server = Server::prepare(engine, Options { unlimited: true, ..Options::default() }).await;
        server.configure(|config| {
            let gateway = toml::toml! {
                joining_team_max = 100
                // So that rtm.start gives what it gives to those of a large team.
                lazy_people = 100
            };
            assert_eq!(gateway["joining_team_max"].as_integer(), Some(JOINING_MAX as i64));
            config.insert("gateway".to_owned(), gateway.into());
        });
        server.restart().await;
        let (owner, _) = server.team("office").await;
        let made = owner.good("conversations.list", json!({ "limit": 100 })).await;
        let all = made["channels"].as_array().unwrap().iter().find(|channel| channel["is_general"] == true).unwrap();
        let channel = text(&all["id"]);
        let people = stream::iter(0..people).map(|number| {
            let (server, owner) = (&server, &owner);
            async move {
                let (api, _) = server.person(owner, &format!("person{number}")).await;
                api
            }
        });
        let people: Vec<Api> = people.buffer_unordered(16).collect().await;
        // In the first round people connect one after the other.
        let seats = stream::iter(people).map(async |api| {
            let socket = api.connect(json!({ "cursors": true })).await;
            Seat { cursor: socket.cursor.clone().unwrap(), socket: Some(socket), api, heard: 0 }
        });
        let seats: Vec<Seat> = seats.buffer_unordered(16).collect().await;
        let (begun, acked, back) = (AtomicUsize::new(0), AtomicUsize::new(0), watch::Sender::new(0));
        let speaker = Arc::new(Speaker { channel, begun, acked, back });
        let (eve, _) = server.team("others").await;
        let made = eve.good("conversations.create", json!({ "name": "others" })).await;
        let other = (eve, text(&made["channel"]["id"]));
        Office { server, owner, speaker, seats, other }
    }

    /// Cuts the first seats off, posts, and lets them reconnect while more is posted. Returns the cost of each.
    /// `cold`: the server is killed meanwhile, and its next process has not loaded the team yet.
    async fn lose_and_come_back(&mut self, count: usize, cold: bool) -> Vec<Cost> {
        let mut coming: Vec<Seat> = self.seats.drain(..count).collect();
        for socket in coming.iter_mut().filter_map(|seat| seat.socket.take()) {
            socket.cut();
        }
        for _ in 0..2 {
            self.speaker.say(&self.owner, "").await;
        }
        if cold {
            self.server.restart().await;
            let url = self.server.url();
            let apis = coming.iter_mut().map(|seat| &mut seat.api);
            apis.chain([&mut self.owner, &mut self.other.0]).for_each(|api| *api = api.at(url));
            // The other team is there before the office comes.
            self.other.0.say(&self.other.1, "first").await;
        }
        let loads = self.server.metric("teamlog_team_loads_total").await;
        let scans = self.server.metric("teamlog_feed_scans_total").await;
        let refused = self.server.metric("teamlog_rtm_not_admitted_total").await;
        let others = Others::start(&self.other.0, &self.other.1);
        let began = Instant::now();
        self.speaker.back.send_replace(0);
        let end = format!(" end of {count}");
        let coming = coming.into_iter().zip(0usize..).map(|(mut seat, number)| {
            let (speaker, end) = (self.speaker.clone(), end.clone());
            tokio::spawn(async move {
                let cost = seat.come_back(number.is_multiple_of(2), &speaker, &end).await;
                (seat, cost)
            })
        });
        let coming: Vec<_> = coming.collect();
        for _ in 0..3 {
            self.speaker.say(&self.owner, "").await;
        }
        let mut back = self.speaker.back.subscribe();
        let all_back = back.wait_for(|back| *back == count);
        drop(tokio::time::timeout(WAIT, all_back).await.expect("everybody is let in").unwrap());
        let took = began.elapsed();
        self.speaker.say(&self.owner, &end).await;
        let mut costs = Vec::new();
        for one in coming {
            let (seat, cost) = tokio::time::timeout(WAIT, one).await.expect("everybody hears the last word").unwrap();
            self.seats.push(seat);
            costs.push(cost);
        }
        let (post, join) = others.stop().await;
        assert!(post < OTHERS_MAX && join < OTHERS_MAX, "another team waits: posts {post:?}, joins {join:?}");
        let loaded = self.server.metric("teamlog_team_loads_total").await - loads;
        assert_eq!(loaded, if cold { 1.0 } else { 0.0 }, "loads of the team");
        let scans = self.server.metric("teamlog_feed_scans_total").await - scans;
        assert!(scans <= if cold { 5.0 } else { 0.0 }, "{scans} scans of the log for those who come by cursor");
        let refused = self.server.metric("teamlog_rtm_not_admitted_total").await - refused;
        let told: usize = costs.iter().map(|cost| cost.waits.len()).sum();
        assert_eq!(told as f64, refused, "who was refused was told so");
        eprintln!(
            "{count} back after {took:?}, cold: {cold}; {told} refusals, {scans} scans, {} bytes a head; the other team's p99: posts {post:?}, joins {join:?}",
            bytes(&costs) / costs.len(),
        );
        costs
    }
}

fn bytes(costs: &[Cost]) -> usize {
    costs.iter().map(|cost| cost.bytes).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_office_that_comes_back_at_once_costs_one_load_and_starves_nobody() {
    open_files(8192);
    let people = size("TEAMLOG_TEST_OFFICE_PEOPLE", 1000);
    for engine in Engine::all() {
        let began = Instant::now();
        let mut office = Office::open(engine, people).await;
        eprintln!("{engine:?}: an office of {people} after {:?}", began.elapsed());
        let others = Others::start(&office.other.0, &office.other.1);
        others.at_least(100).await;
        let (post, join) = others.stop().await;
        eprintln!("{engine:?}: the other team's p99 while it is quiet: posts {post:?}, joins {join:?}");

        let few = office.lose_and_come_back(people / 4, false).await;
        let all = office.lose_and_come_back(people, true).await;
        let waits: Vec<u64> = all.iter().flat_map(|cost| cost.waits.iter().copied()).collect();
        assert!(waits.len() > JOINING_MAX, "{engine:?}: only {} were told to wait", waits.len());
        assert!(waits.iter().all(|wait| (1..=10).contains(wait)), "{engine:?}: {waits:?}");
        for wait in 1..=10 {
            let same = waits.iter().filter(|one| **one == wait).count();
            assert!(same < waits.len() / 2, "{engine:?}: {same} of {} were all told to wait {wait} s", waits.len());
        }
        let calls = all.iter().map(|cost| cost.calls).max().unwrap();
        assert!(calls <= 10, "{engine:?}: somebody who waited as told was refused {calls} times");
        let a_head = |costs: &[Cost]| bytes(costs) / costs.len();
        assert!(a_head(&all) < a_head(&few) * 3 / 2, "{engine:?}: {} and {} bytes a head", a_head(&few), a_head(&all));
        eprintln!("{engine:?}: all after {:?}", began.elapsed());
    }
}
