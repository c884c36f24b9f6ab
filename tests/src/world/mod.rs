//! A team in motion: writers post without pause, people come to conversations and leave them, sessions are cut off at
//! random moments and come back. `judge.rs` says what each of them must have heard; `listeners.rs` is the sessions,
//! `doers.rs` the writers and those who move people.
#![allow(clippy::unwrap_used, reason = "what goes wrong in here fails the test")]

mod doers;
mod judge;
mod listeners;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use teamlog_schemas::Ts;
use tokio::sync::watch;

use crate::{Api, Failure, WAIT};

pub use judge::{Judge, Run};

/// The last message, in the conversation of all.
const END: &str = "end";
/// The conversation of all.
const EVERYBODY: usize = 0;

/// How many there are of whom.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// People in all.
    pub people: usize,
    /// Sessions that come, are cut off and come back.
    pub sessions: usize,
    /// Sessions besides that read nothing for most of the time.
    pub slow: usize,
    /// The first so many people. They are in every conversation, and stay.
    pub writers: usize,
    /// Those who move others; each of them is a writer too.
    pub movers: usize,
    /// People, the last ones, who never come into a private conversation.
    pub outsiders: usize,
    /// Public conversations.
    pub public: usize,
    /// Private ones.
    pub private: usize,
    /// Messages in all, and as many more as are posted until what happens meanwhile is over.
    pub messages: usize,
    /// Between two messages of a writer.
    pub pause: Duration,
}

impl Size {
    /// Two who come into a private conversation together if neither is in it: one event, and one order of its frames.
    fn mate(&self, person: usize) -> usize {
        self.writers + ((person - self.writers) ^ 1)
    }
}

struct Person {
    id: String,
    api: Api,
}

struct Place {
    id: String,
    is_private: bool,
}

/// What a writer was told of a message of theirs.
#[derive(Clone, Debug)]
pub struct Told {
    /// Who.
    pub writer: usize,
    /// What it shows.
    pub number: usize,
    /// The call, with its key.
    pub post: Value,
    /// What was acknowledged.
    pub ts: Ts,
}

/// The team, and all that happens in it.
pub struct World {
    team: String,
    size: Size,
    people: Vec<Person>,
    places: Vec<Place>,
    by_id: HashMap<String, usize>,
    /// Everything up to here belongs to how the team was made.
    born: Ts,
    /// Where the servers are: any of them will do.
    urls: watch::Sender<Vec<String>>,
    /// Servers are killed now and then: calls are repeated under their keys, and sessions end.
    with_kills: bool,
    /// What happens meanwhile is not over.
    is_busy: AtomicBool,
    /// Things that were begun to be said: the text of each is its number here.
    begun: AtomicUsize,
    /// The newest `ts` that was acknowledged.
    acked: Mutex<Ts>,
    /// Messages that were acknowledged: sessions arrive and leave by it.
    posted: watch::Sender<usize>,
    /// Sessions that will not be cut any more.
    settled: watch::Sender<usize>,
    told: Mutex<Vec<Told>>,
}

fn time(value: &Value) -> Ts {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no ts"));
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// How a text shows its number.
fn numbered(number: usize) -> String {
    format!("[{number}]")
}

/// The number that a text shows, if it does.
fn number(text: &str) -> Option<usize> {
    text.split_once('[')?.1.split_once(']')?.0.parse().ok()
}

impl World {
    /// A team on these servers, any of which may be asked. `with_kills`: they may be away for a while.
    pub async fn new(urls: &[&str], size: Size, with_kills: bool) -> World {
        let api = Api::new(urls[0]);
        let (ada, ada_id) = api.team("world").await;
        let mut people = vec![Person { id: ada_id, api: ada.clone() }];
        for number in 1..size.people {
            let (api, id) = ada.person(&format!("person{number}")).await;
            people.push(Person { id, api });
        }
        let listed = ada.good("conversations.list", json!({ "limit": 100 })).await;
        let all = listed["channels"].as_array().unwrap().iter().find(|channel| channel["is_general"] == true).unwrap();
        let mut places = vec![Place { id: text(&all["id"]).to_owned(), is_private: false }];
        let writers: Vec<&str> = people[1..size.writers].iter().map(|writer| writer.id.as_str()).collect();
        for number in 0..size.public + size.private {
            let is_private = number >= size.public;
            let args = json!({ "name": format!("place{number}"), "is_private": is_private });
            let id = text(&ada.good("conversations.create", args).await["channel"]["id"]).to_owned();
            ada.good("conversations.invite", json!({ "channel": id, "users": writers.join(",") })).await;
            places.push(Place { id, is_private });
        }
        let born = time(&json!(ada.say(&places[EVERYBODY].id, "now it begins").await));
        let by_person = people.iter().zip(0..).map(|(person, number)| (person.id.clone(), number));
        let by_place = places.iter().zip(0..).map(|(place, number)| (place.id.clone(), number));
        let team = text(&ada.good("auth.test", json!({})).await["team_id"]).to_owned();
        World {
            team,
            size,
            by_id: by_person.chain(by_place).collect(),
            people,
            places,
            born,
            urls: watch::Sender::new(urls.iter().map(|url| (*url).to_owned()).collect()),
            with_kills,
            is_busy: AtomicBool::new(true),
            begun: AtomicUsize::new(0),
            acked: Mutex::new(born),
            posted: watch::Sender::new(0),
            settled: watch::Sender::new(0),
            told: Mutex::default(),
        }
    }

    /// Lets everybody loose. `meanwhile` ends before the last message is posted. What the sessions heard.
    pub async fn run(self: &Arc<Self>, seed: u64, meanwhile: impl Future<Output = ()>) -> Vec<Run> {
        let rng = |stream: usize| StdRng::seed_from_u64(seed.wrapping_mul(1 << 20).wrapping_add(stream as u64));
        let size = self.size;
        let listeners: Vec<_> = (0..size.sessions + size.slow)
            .map(|number| {
                let (world, rng) = (self.clone(), rng(number));
                let is_slow = number >= size.sessions;
                tokio::spawn(async move { listeners::listen(&world, number % size.people, is_slow, rng).await })
            })
            .collect();
        let mut doers = tokio::task::JoinSet::new();
        for writer in 0..size.writers {
            let (world, rng) = (self.clone(), rng(1 << 18 | writer));
            doers.spawn(async move { world.write(writer, rng).await });
        }
        for mover in 0..size.movers {
            let (world, rng) = (self.clone(), rng(1 << 19 | mover));
            doers.spawn(async move { world.keep_moving(mover, rng).await });
        }
        meanwhile.await;
        self.is_busy.store(false, Ordering::SeqCst);
        while let Some(done) = doers.join_next().await {
            done.unwrap();
        }
        let mut settled = self.settled.subscribe();
        let waiting = settled.wait_for(|settled| *settled == listeners.len());
        drop(tokio::time::timeout(WAIT, waiting).await.expect("every session settles").unwrap());
        let end = json!({ "channel": self.places[EVERYBODY].id, "text": END });
        self.insist(0, "chat.postMessage", end).await;
        let mut runs = Vec::new();
        for listener in listeners {
            runs.extend(listener.await.unwrap());
        }
        runs
    }

    /// Judges what was heard by the history.
    pub async fn judge(&self) -> Judge {
        let mut histories = Vec::new();
        for place in &self.places {
            histories.push(self.api(0).history(&place.id).await);
        }
        Judge::new(self, &histories)
    }

    /// The team's id.
    pub fn team(&self) -> &str {
        &self.team
    }

    /// Checks that every message that was acknowledged is there, once, under its `ts`, and nothing else; that each session
    /// heard what it had to; and that a repeat of a call gives the first answer. How many messages there are.
    pub async fn check(&self, runs: &[Run], what: &str) -> usize {
        let judge = self.judge().await;
        let mut told = self.told();
        told.sort_by_key(|one| one.number);
        let acknowledged: Vec<_> = told.iter().map(|one| (one.number, one.ts)).collect();
        assert_eq!(judge.said(), acknowledged, "{what}: what is there, and what the writers were told");
        judge.check_all(runs);
        let again = stream::iter(&told).map(|one| async move {
            let again = self.api(one.writer).good("chat.postMessage", one.post.clone()).await;
            assert_eq!(again["ts"], json!(one.ts.to_string()), "{what}: a retry of {one:?}");
        });
        again.buffer_unordered(16).collect::<()>().await;
        assert_eq!(self.judge().await.said(), acknowledged, "{what}: a retry posted again");
        told.len()
    }

    /// What the writers were told, in no order.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// How many messages were acknowledged.
    pub fn posted(&self) -> watch::Receiver<usize> {
        self.posted.subscribe()
    }

    /// The one server is here now.
    pub fn moved_to(&self, url: &str) {
        self.urls.send_replace(vec![url.to_owned()]);
    }

    /// Somebody's client.
    pub fn api(&self, person: usize) -> Api {
        self.people[person].api.at(&self.urls.borrow()[0])
    }

    fn is_on(&self) -> bool {
        self.is_busy.load(Ordering::SeqCst) || *self.posted.borrow() < self.size.messages
    }

    /// Calls under a key of its own until there is an answer, wherever the server is by then.
    async fn insist(&self, person: usize, method: &str, mut args: Value) -> Value {
        args["client_msg_id"] = json!(uuid::Uuid::new_v4().to_string());
        self.ask(person, method, &args).await
    }

    async fn ask(&self, person: usize, method: &str, args: &Value) -> Value {
        let mut urls = self.urls.subscribe();
        // Each has a server of their own, and the next one where that does not answer.
        for attempt in person.. {
            let here = {
                let urls = urls.borrow_and_update();
                urls[attempt % urls.len()].clone()
            };
            match self.people[person].api.at(&here).call(method, args).await {
                Ok(body) if body["ok"] == true => return body,
                // It is gone, or just goes, or comes: the same again.
                Err(Failure::Gone(_) | Failure::Status(503, _)) if self.with_kills => {
                    let _ = tokio::time::timeout(Duration::from_millis(20), urls.changed()).await;
                }
                other => panic!("person {person}: {method} {args}: {other:?}"),
            }
        }
        unreachable!("there is always one more attempt")
    }

    /// A `reconnect_url`, at the address where the one server is by now; of several each is where it was.
    fn where_it_leads(&self, url: &str) -> String {
        let urls = self.urls.borrow();
        let [only] = &urls[..] else { return url.to_owned() };
        let ticket = url.rsplit('/').next().unwrap_or_default();
        format!("{}/ws/{ticket}", only.replacen("http", "ws", 1))
    }

    fn next_number(&self) -> usize {
        self.begun.fetch_add(1, Ordering::SeqCst)
    }
}
