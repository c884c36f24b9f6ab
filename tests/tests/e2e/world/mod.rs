//! A team in motion: writers post without pause, people come to conversations and leave them, sessions are cut off at
//! random moments and come back. `judge.rs` says what each of them must have heard; `listeners.rs` is the sessions,
//! `doers.rs` the writers and those who move people.

mod doers;
mod judge;
mod listeners;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use teamlog_schemas::Ts;
use teamlog_tests::{Api, Failure, Server, WAIT};
use tokio::sync::watch;

use judge::{Judge, Run};

/// The last message, in the conversation of all.
const END: &str = "end";
/// The conversation of all.
const EVERYBODY: usize = 0;

/// How many there are of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) people: usize,
    pub(crate) sessions: usize,
    /// Sessions besides that read nothing for most of the time.
    pub(crate) slow: usize,
    /// The first so many people. They are in every conversation, and stay.
    pub(crate) writers: usize,
    /// Those who move others; each of them is a writer too.
    pub(crate) movers: usize,
    /// People, the last ones, who never come into a private conversation.
    pub(crate) outsiders: usize,
    pub(crate) public: usize,
    pub(crate) private: usize,
    /// Messages in all.
    pub(crate) messages: usize,
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
pub(crate) struct Told {
    pub(crate) writer: usize,
    pub(crate) number: usize,
    /// The call, with its key.
    pub(crate) post: Value,
    pub(crate) ts: Ts,
}

pub(crate) struct World {
    size: Size,
    people: Vec<Person>,
    places: Vec<Place>,
    by_id: HashMap<String, usize>,
    /// Everything up to here belongs to how the team was made.
    born: Ts,
    /// Where the server is.
    url: watch::Sender<String>,
    /// The server is killed now and then: calls are repeated under their keys, and sessions end.
    with_kills: bool,
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
    pub(crate) async fn new(server: &Server, size: Size, with_kills: bool) -> World {
        let (ada, ada_id) = server.team("world").await;
        let mut people = vec![Person { id: ada_id, api: ada.clone() }];
        for number in 1..size.people {
            let (api, id) = server.person(&ada, &format!("person{number}")).await;
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
        World {
            size,
            by_id: by_person.chain(by_place).collect(),
            people,
            places,
            born,
            url: watch::Sender::new(server.url().to_owned()),
            with_kills,
            begun: AtomicUsize::new(0),
            acked: Mutex::new(born),
            posted: watch::Sender::new(0),
            settled: watch::Sender::new(0),
            told: Mutex::default(),
        }
    }

    /// Lets everybody loose. `meanwhile` ends before the last message is posted. What the sessions heard.
    pub(crate) async fn run(self: &Arc<Self>, seed: u64, meanwhile: impl Future<Output = ()>) -> Vec<Run> {
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
    pub(crate) async fn judge(&self) -> Judge {
        let mut histories = Vec::new();
        for place in &self.places {
            histories.push(self.api(0).history(&place.id).await);
        }
        Judge::new(self, &histories)
    }

    /// What the writers were told, in no order.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// How many messages were acknowledged.
    pub(crate) fn posted(&self) -> watch::Receiver<usize> {
        self.posted.subscribe()
    }

    /// The server is here now.
    pub(crate) fn moved_to(&self, url: &str) {
        self.url.send_replace(url.to_owned());
    }

    /// Somebody's client.
    pub(crate) fn api(&self, person: usize) -> Api {
        self.people[person].api.at(&self.url.borrow())
    }

    fn is_on(&self) -> bool {
        *self.posted.borrow() < self.size.messages
    }

    /// Calls under a key of its own until there is an answer, wherever the server is by then.
    async fn insist(&self, person: usize, method: &str, mut args: Value) -> Value {
        args["client_msg_id"] = json!(uuid::Uuid::new_v4().to_string());
        self.ask(person, method, &args).await
    }

    async fn ask(&self, person: usize, method: &str, args: &Value) -> Value {
        let mut url = self.url.subscribe();
        loop {
            let here = url.borrow_and_update().clone();
            match self.people[person].api.at(&here).call(method, args).await {
                Ok(body) if body["ok"] == true => return body,
                // It is gone, or just goes, or comes: the same again.
                Err(Failure::Gone(_) | Failure::Status(503, _)) if self.with_kills => {
                    let _ = tokio::time::timeout(Duration::from_millis(20), url.changed()).await;
                }
                other => panic!("person {person}: {method} {args}: {other:?}"),
            }
        }
    }

    fn next_number(&self) -> usize {
        self.begun.fetch_add(1, Ordering::SeqCst)
    }
}
