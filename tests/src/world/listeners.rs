//! Sessions: they connect, are cut off, and reconnect.

use std::sync::atomic::Ordering;

use crate::Socket;
use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    judge::{Heard, Run, What},
    motion::{END, World, number, text, time},
};

/// The way in which a session reconnects.
enum Way {
    Fresh,
    Cursor,
    /// By the last `reconnect_url`.
    Url,
}

struct Listener<'a> {
    world: &'a World,
    user: usize,
    is_slow: bool,
    rng: StdRng,
    runs: Vec<Run>,
    socket: Option<Socket>,
    cursor: String,
    /// The last `reconnect_url`, the number of frames received by then, and the cursor at that place.
    url: Option<(String, usize, String)>,
}

/// Connects at a random moment, is cut off at random moments, and stays until the end once the writers are nearly done. A
/// slow session connects early, reads nothing for most of the time, and then reconnects for all that it missed.
pub(super) async fn listen(world: &World, user: usize, is_slow: bool, rng: StdRng) -> Vec<Run> {
    let (runs, cursor) = (Vec::new(), String::new());
    let mut it = Listener { world, user, is_slow, rng, runs, socket: None, cursor, url: None };
    let all = world.size.messages;
    let mut posted = world.posted();
    let arrival = if is_slow { 1 } else { it.rng.random_range(0..all / 2) };
    posted.wait_for(|posted| *posted >= arrival).await.unwrap();
    it.come(Way::Fresh).await;
    if is_slow {
        // The server could not send all to this socket, and its queue has overflowed.
        posted.wait_for(|posted| *posted >= all * 9 / 10).await.unwrap();
        it.socket = None;
        it.is_slow = false;
        it.come(Way::Cursor).await;
    }
    while *posted.borrow() < all * 9 / 10 {
        // Some are cut off at once, some in the middle of what they missed.
        let frames = if it.rng.random_bool(0.2) { 0 } else { it.rng.random_range(0..all / 4) };
        tokio::select! {
            () = it.take(frames) => {}
            nearly = posted.wait_for(|posted| *posted >= all * 9 / 10) => drop(nearly.unwrap()),
        }
        if let Some(socket) = it.socket.take() {
            socket.cut();
        }
        let back = *posted.borrow() + it.rng.random_range(0..all / 20);
        posted.wait_for(|posted| *posted >= back.min(all)).await.unwrap();
        let way = match it.rng.random_range(0..10) {
            0..6 => Way::Cursor,
            6..8 => Way::Url,
            _ => Way::Fresh,
        };
        it.come(way).await;
    }
    world.settled.send_modify(|settled| *settled += 1);
    while !it.runs.last().unwrap().reached_end {
        it.take(usize::MAX).await;
        if !it.runs.last().unwrap().reached_end {
            it.come(Way::Cursor).await;
        }
    }
    it.runs
}

impl Listener<'_> {
    fn run(&mut self) -> &mut Run {
        self.runs.last_mut().unwrap()
    }

    async fn come(&mut self, mut way: Way) {
        loop {
            let url = match way {
                Way::Fresh => self.begin().await,
                Way::Cursor => {
                    let args = json!({ "cursors": true, "cursor": self.cursor });
                    text(&self.world.ask(self.user, "rtm.connect", &args).await["url"]).to_owned()
                }
                Way::Url => match self.url.take() {
                    Some((url, heard, cursor)) => {
                        // The URL resumes at the place where it was given.
                        self.run().heard.truncate(heard);
                        self.cursor = cursor;
                        self.world.where_it_leads(&url)
                    }
                    None => {
                        way = Way::Cursor;
                        continue;
                    }
                },
            };
            let opened = if self.is_slow { Socket::open_narrow(&url).await } else { Socket::open(&url).await };
            match opened {
                Ok(socket) => {
                    self.socket = Some(socket);
                    return;
                }
                Err(why) => assert!(self.world.with_kills, "person {} cannot come: {why}", self.user),
            }
            way = Way::Cursor;
        }
    }

    /// Starts a session without a cursor.
    async fn begin(&mut self) -> String {
        let world = self.world;
        let after = *world.acked.lock().unwrap();
        let method = if self.rng.random_bool(0.2) { "rtm.start" } else { "rtm.connect" };
        let answer = world.ask(self.user, method, &json!({ "cursors": true })).await;
        let answered = world.begun.load(Ordering::SeqCst);
        text(&answer["cursor"]).clone_into(&mut self.cursor);
        self.url = None;
        self.runs.push(Run::new(self.user, after, answered));
        text(&answer["url"]).to_owned()
    }

    /// Receives `frames` frames, or fewer if the session or the world ends.
    async fn take(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(socket) = &mut self.socket else { return };
            let Some(frame) = socket.frame().await else {
                assert!(self.world.with_kills, "person {}'s session ended", self.user);
                self.socket = None;
                return;
            };
            if let Some(cursor) = frame["cursor"].as_str() {
                cursor.clone_into(&mut self.cursor);
            }
            self.hear(&frame);
            if self.run().reached_end {
                return;
            }
        }
    }

    fn hear(&mut self, frame: &Value) {
        let (world, user) = (self.world, self.user);
        let which = |id: &Value| *world.by_id.get(text(id)).unwrap_or_else(|| panic!("whose is {id} in {frame}"));
        let shown = |text_of: &Value| number(text(text_of)).unwrap_or_else(|| panic!("no number in {frame}"));
        let mut ts = &frame["ts"];
        let what = match text(&frame["type"]) {
            "hello" => return,
            "goodbye" => {
                assert!(world.with_kills, "person {user} is told to go");
                return;
            }
            "reconnect_url" => {
                let heard = self.run().heard.len();
                self.url = Some((text(&frame["url"]).to_owned(), heard, self.cursor.clone()));
                return;
            }
            "message" => match frame["subtype"].as_str() {
                None if frame["text"] == END => {
                    self.run().reached_end = true;
                    What::End
                }
                None => What::Said(shown(&frame["text"])),
                Some("message_changed") => What::Changed(shown(&frame["message"]["text"])),
                Some("channel_topic" | "group_topic") => What::Topic(shown(&frame["topic"])),
                Some("channel_join" | "group_join") => What::Joined(which(&frame["user"])),
                Some("channel_leave" | "group_leave") => What::Left(which(&frame["user"])),
                Some(_) => panic!("person {user} hears {frame}"),
            },
            kind => {
                ts = &frame["event_ts"];
                match kind {
                    "member_joined_channel" => What::MemberJoined(which(&frame["user"])),
                    "member_left_channel" => What::MemberLeft(which(&frame["user"])),
                    "channel_joined" | "group_joined" => {
                        let topic = number(text(&frame["channel"]["topic"]["value"]));
                        let place = which(&frame["channel"]["id"]);
                        self.run().topics.extend(topic.map(|topic| (place, topic)));
                        self.run().heard.push(Heard { ts: time(ts), place, what: What::Entered });
                        return;
                    }
                    "channel_left" | "group_left" => What::Gone,
                    _ => panic!("person {user} hears {frame}"),
                }
            }
        };
        let heard = Heard { ts: time(ts), place: which(&frame["channel"]), what };
        self.run().heard.push(heard);
    }
}
