//! The team in motion: its people and conversations, and what all who act in it share.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use teamlog_schemas::Ts;
use tokio::sync::watch;

use crate::{Api, Failure};

/// The last message, in the conversation of all.
pub(super) const END: &str = "end";
/// The conversation of all.
pub(super) const EVERYBODY: usize = 0;

/// The size of a world.
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
    /// People who move others. Each of them is a writer too.
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
    pub(super) fn mate(&self, person: usize) -> usize {
        self.writers + ((person - self.writers) ^ 1)
    }
}

pub(super) struct Person {
    pub(super) id: String,
    pub(super) api: Api,
}

pub(super) struct Place {
    pub(super) id: String,
    pub(super) is_private: bool,
}

/// A message that was acknowledged to its writer.
#[derive(Clone, Debug)]
pub struct Told {
    /// The number of the writer.
    pub writer: usize,
    /// The number in the text of the message.
    pub number: usize,
    /// The call, with its key.
    pub post: Value,
    /// The acknowledged `ts`.
    pub ts: Ts,
}

/// The team, and all that happens in it.
pub struct World {
    pub(super) team: String,
    pub(super) size: Size,
    pub(super) people: Vec<Person>,
    pub(super) places: Vec<Place>,
    pub(super) by_id: HashMap<String, usize>,
    /// The `ts` of the last event of the team's creation.
    pub(super) born: Ts,
    /// Where the servers are: any of them will do.
    pub(super) urls: watch::Sender<Vec<String>>,
    /// Servers are killed now and then: calls are repeated under their keys, and sessions end.
    pub(super) with_kills: bool,
    /// True until the `meanwhile` of [`World::run`] has ended.
    pub(super) is_busy: AtomicBool,
    /// The number of messages and topics that were begun. Each shows its number in its text.
    pub(super) begun: AtomicUsize,
    /// The newest `ts` that was acknowledged.
    pub(super) acked: Mutex<Ts>,
    /// Messages that were acknowledged: sessions arrive and leave by it.
    pub(super) posted: watch::Sender<usize>,
    /// Sessions that will not be cut any more.
    pub(super) settled: watch::Sender<usize>,
    pub(super) told: Mutex<Vec<Told>>,
}

pub(super) fn time(value: &Value) -> Ts {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no ts"));
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// How a text shows its number.
pub(super) fn numbered(number: usize) -> String {
    format!("[{number}]")
}

/// The number that a text shows, if it does.
pub(super) fn number(text: &str) -> Option<usize> {
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

    /// The team's id.
    pub fn team(&self) -> &str {
        &self.team
    }

    /// Returns the acknowledged messages, in no order.
    pub fn acknowledged(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// How many messages were acknowledged.
    pub fn posted(&self) -> watch::Receiver<usize> {
        self.posted.subscribe()
    }

    /// Sets the address of the only server.
    pub fn moved_to(&self, url: &str) {
        self.urls.send_replace(vec![url.to_owned()]);
    }

    /// Returns a person's client.
    pub fn api(&self, person: usize) -> Api {
        self.people[person].api.at(&self.urls.borrow()[0])
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_busy.load(Ordering::SeqCst) || *self.posted.borrow() < self.size.messages
    }

    /// Calls under a key of its own until there is an answer, wherever the server is by then.
    pub(super) async fn insist(&self, person: usize, method: &str, mut args: Value) -> Value {
        args["client_msg_id"] = json!(uuid::Uuid::new_v4().to_string());
        self.ask(person, method, &args).await
    }

    pub(super) async fn ask(&self, person: usize, method: &str, args: &Value) -> Value {
        let mut urls = self.urls.subscribe();
        // Each has a server of their own, and the next one where that does not answer.
        for attempt in person.. {
            let here = {
                let urls = urls.borrow_and_update();
                urls[attempt % urls.len()].clone()
            };
            match self.people[person].api.at(&here).call(method, args).await {
                Ok(body) if body["ok"] == true => return body,
                // The server is stopping, down or starting: retry the same call.
                Err(Failure::Gone(_) | Failure::Status(503, _)) if self.with_kills => {
                    let _ = tokio::time::timeout(Duration::from_millis(20), urls.changed()).await;
                }
                other => panic!("person {person}: {method} {args}: {other:?}"),
            }
        }
        unreachable!("there is always one more attempt")
    }

    /// A `reconnect_url`, at the address where the one server is by now; of several each is where it was.
    pub(super) fn where_it_leads(&self, url: &str) -> String {
        let urls = self.urls.borrow();
        let [only] = &urls[..] else { return url.to_owned() };
        let ticket = url.rsplit('/').next().unwrap_or_default();
        format!("{}/ws/{ticket}", only.replacen("http", "ws", 1))
    }

    pub(super) fn next_number(&self) -> usize {
        self.begun.fetch_add(1, Ordering::SeqCst)
    }
}
