//! Whoever comes, is cut off and comes back hears a run of the history: no hole, no double, nothing out of order, and
//! nothing of a conversation that is not theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Options, Server, Socket, WAIT, size};
use tokio::sync::watch;

const PEOPLE: usize = 10;
const WRITERS: usize = 4;
/// The last message of every conversation.
const END: &str = "end";

/// A conversation, who is in it by their number, and how far its writers are.
struct Place {
    id: String,
    members: BTreeSet<usize>,
    /// Messages that were begun: the text of each is the number that it found here.
    begun: AtomicUsize,
    /// The latest `ts` that was acknowledged.
    acked: Mutex<String>,
}

impl Place {
    async fn say(&self, api: &Api, text: &str) {
        let ts = api.say(&self.id, text).await;
        let mut acked = self.acked.lock().unwrap();
        if *acked < ts {
            *acked = ts;
        }
    }
}

/// What one session heard from an `rtm.connect` without a cursor on, through all cuts after which it came by cursor.
struct Run {
    user: usize,
    /// By conversation.
    heard: BTreeMap<String, Vec<(String, String)>>,
    /// What was acknowledged before the call, and what was not begun before its answer: bounds on the first heard.
    acked_before: Vec<String>,
    begun_before: Vec<usize>,
    reached_end: bool,
}

struct World {
    places: Vec<Place>,
    people: Vec<Api>,
    /// Messages that were acknowledged, to arrive and to leave by.
    posted: watch::Sender<usize>,
    /// Sessions that will not be cut any more.
    settled: watch::Sender<usize>,
    messages: usize,
}

impl World {
    async fn new(server: &Server, rng: &mut StdRng) -> World {
        let (ada, ada_id) = server.team("nogap").await;
        let mut people = vec![(ada.clone(), ada_id)];
        for number in 1..PEOPLE {
            people.push(server.person(&ada, &format!("person{number}")).await);
        }
        let mut places = Vec::new();
        for (number, is_private) in [false, false, true, true, true].into_iter().enumerate() {
            let args = json!({ "name": format!("place{number}"), "is_private": is_private });
            let id = ada.good("conversations.create", args).await["channel"]["id"].as_str().unwrap().to_owned();
            // The first one, who made it, is in all of them.
            let members: BTreeSet<usize> =
                (0..PEOPLE).filter(|person| *person == 0 || !is_private || rng.random_bool(0.5)).collect();
            let ids: Vec<_> = members.iter().filter(|person| **person > 0).map(|one| people[*one].1.clone()).collect();
            if !ids.is_empty() {
                ada.good("conversations.invite", json!({ "channel": id, "users": ids.join(",") })).await;
            }
            places.push(Place { id, members, begun: AtomicUsize::new(0), acked: Mutex::default() });
        }
        let people = people.into_iter().map(|(api, _)| api).collect();
        let messages = size("TEAMLOG_TEST_GAP_MESSAGES", 100);
        World { places, people, posted: watch::Sender::new(0), settled: watch::Sender::new(0), messages }
    }

    async fn write(&self, writer: usize, mut rng: StdRng) {
        let own: Vec<&Place> = self.places.iter().filter(|place| place.members.contains(&writer)).collect();
        for _ in 0..self.messages {
            let place = own.choose(&mut rng).unwrap();
            let number = place.begun.fetch_add(1, Ordering::SeqCst);
            place.say(&self.people[writer], &number.to_string()).await;
            self.posted.send_modify(|posted| *posted += 1);
        }
    }

    /// Comes at a random moment, is cut at random moments, and stays to the end once the writers are nearly done.
    async fn listen(&self, user: usize, mut rng: StdRng) -> Vec<Run> {
        let all = self.messages * WRITERS;
        let mut posted = self.posted.subscribe();
        let arrival = rng.random_range(0..all / 2);
        posted.wait_for(|posted| *posted >= arrival).await.unwrap();
        let mut runs = Vec::new();
        let (mut run, mut socket) = self.begin(user).await;
        while *posted.borrow() < all * 9 / 10 {
            let frames = rng.random_range(0..all / 8);
            tokio::select! {
                () = self.take(&mut run, &mut socket, frames) => {}
                nearly = posted.wait_for(|posted| *posted >= all * 9 / 10) => drop(nearly.unwrap()),
            }
            let cursor = socket.cursor.clone().unwrap();
            socket.cut();
            let back = *posted.borrow() + rng.random_range(0..all / 20);
            posted.wait_for(|posted| *posted >= back.min(all)).await.unwrap();
            if rng.random_bool(0.7) {
                socket = self.people[user].connect(json!({ "cursors": true, "cursor": cursor })).await;
            } else {
                runs.push(run);
                (run, socket) = self.begin(user).await;
            }
        }
        self.settled.send_modify(|settled| *settled += 1);
        self.take(&mut run, &mut socket, usize::MAX).await;
        runs.push(run);
        runs
    }

    async fn begin(&self, user: usize) -> (Run, Socket) {
        let acked_before = self.places.iter().map(|place| place.acked.lock().unwrap().clone()).collect();
        let socket = self.people[user].connect(json!({ "cursors": true })).await;
        let begun_before = self.places.iter().map(|place| place.begun.load(Ordering::SeqCst)).collect();
        (Run { user, heard: BTreeMap::new(), acked_before, begun_before, reached_end: false }, socket)
    }

    /// Takes so many frames, or all up to the last message of each of the person's conversations.
    async fn take(&self, run: &mut Run, socket: &mut Socket, frames: usize) {
        let own = |place: &&Place| place.members.contains(&run.user);
        let owed: Vec<&str> = self.places.iter().filter(own).map(|place| place.id.as_str()).collect();
        for _ in 0..frames {
            let frame = socket.frame().await.expect("nobody but the test ends a session");
            let raw = frame.to_string();
            for place in self.places.iter().filter(|place| !place.members.contains(&run.user)) {
                assert!(!raw.contains(&place.id), "person {} hears of {}: {raw}", run.user, place.id);
            }
            if frame["type"] == "message" && frame["subtype"].is_null() {
                let text = |key: &str| frame[key].as_str().unwrap().to_owned();
                run.heard.entry(text("channel")).or_default().push((text("ts"), text("text")));
            }
            let at_end = |id: &&str| run.heard.get(*id).is_some_and(|heard| heard.last().unwrap().1 == END);
            if owed.iter().all(at_end) {
                run.reached_end = true;
                return;
            }
        }
    }

    fn check(&self, run: &Run, histories: &BTreeMap<String, Vec<(String, String)>>) {
        for (number, place) in self.places.iter().enumerate() {
            if !place.members.contains(&run.user) {
                assert!(!run.heard.contains_key(&place.id));
                continue;
            }
            let history = &histories[&place.id];
            let heard = run.heard.get(&place.id).map_or(&[][..], Vec::as_slice);
            let who = format!("person {} in place {number}", run.user);
            if let Some(first) = heard.first() {
                let start = history.iter().position(|message| message == first);
                let start = start.unwrap_or_else(|| panic!("{who} heard {first:?}, which is not in the history"));
                let run_of_it = history[start..].iter().take(heard.len());
                assert!(heard.iter().eq(run_of_it), "{who} heard {heard:?} of {history:?}");
                assert!(first.0 > run.acked_before[number], "{who} heard {first:?}, older than the session");
                let begun_later =
                    |text: &str| text == END || text.parse::<usize>().unwrap() >= run.begun_before[number];
                let missed = history[..start].iter().find(|(_, text)| begun_later(text));
                assert!(missed.is_none(), "{who} missed {missed:?} at the start of the session");
            }
            if run.reached_end {
                assert_eq!(heard.last(), history.last(), "{who}");
            }
        }
    }
}

fn plain(messages: &[Value]) -> Vec<(String, String)> {
    let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
    let plain = messages.iter().filter(|message| message["subtype"].is_null());
    plain.map(|message| (text(message, "ts"), text(message, "text"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_hears_a_run_of_the_history() {
    for engine in Engine::all() {
        let seed = size("SEED", rand::random::<u32>() as usize) as u64;
        eprintln!("{engine:?}: SEED={seed}");
        let rng = |stream: usize| StdRng::seed_from_u64(seed.wrapping_add(stream as u64));
        let server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let world = Arc::new(World::new(&server, &mut rng(0)).await);
        let sessions = size("TEAMLOG_TEST_GAP_SESSIONS", 40);
        let listeners: Vec<_> = (0..sessions)
            .map(|number| {
                let (world, rng) = (world.clone(), rng(1000 + number));
                tokio::spawn(async move { world.listen(number % PEOPLE, rng).await })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (world, rng) = (world.clone(), rng(1 + writer));
                tokio::spawn(async move { world.write(writer, rng).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let mut settled = world.settled.subscribe();
        let waiting = settled.wait_for(|settled| *settled == sessions);
        drop(tokio::time::timeout(WAIT, waiting).await.expect("every session settles").unwrap());
        for place in &world.places {
            place.say(&world.people[0], END).await;
        }
        let mut runs = Vec::new();
        for listener in listeners {
            runs.extend(listener.await.unwrap());
        }
        let mut histories = BTreeMap::new();
        for place in &world.places {
            histories.insert(place.id.clone(), plain(&world.people[0].history(&place.id).await));
        }
        let written: usize = histories.values().map(Vec::len).sum();
        assert_eq!(written, world.messages * WRITERS + world.places.len());
        for run in &runs {
            world.check(run, &histories);
        }
    }
}
