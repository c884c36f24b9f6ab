//! The sessions of a run: sockets that connect fresh, by a cursor or by a `reconnect_url`, on any node, and close at random
//! times. Each frame is compared with the next one that the shadow model has for them.

use std::{sync::Arc, time::Duration};

use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    node::{Heard, Life, Socket},
    plan::pick,
    shadow::{At, Place, cursor_place, ticket_place},
    world::{Crew, Person, REST, World},
};

/// Frames that are not of the log.
const BESIDES: [&str; 4] = ["hello", "goodbye", "reconnect_url", "presence_change"];

/// The way in which a session connects.
#[derive(Clone, Debug)]
enum By {
    Start,
    Cursor(String),
    Url(String),
}

struct Listener {
    world: World,
    crew: Arc<Crew>,
    person: Person,
    who: String,
    rng: StdRng,
    /// The place after the last frame received; none before the first session.
    at: Option<At>,
    /// The newest of each that was heard.
    cursor: Option<String>,
    url: Option<String>,
    /// Whether each frame carries its cursor.
    cursors: bool,
    heard: u64,
}

/// Connects and disconnects until the world is ending, then stays until all frames have arrived. Returns their number.
pub(crate) async fn listen(world: World, crew: Arc<Crew>, number: usize) -> u64 {
    let who = format!("{}/s{number}", crew.team);
    let mut rng = world.rng(&format!("listen {who}"));
    let person = pick(&mut rng, &crew.people).clone();
    let mut listener =
        Listener { world, crew, person, who, rng, at: None, cursor: None, url: None, cursors: false, heard: 0 };
    let mut deadline: Option<Instant> = None;
    loop {
        if listener.world.is_ending() {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + REST);
            if listener.has_all() {
                return listener.heard;
            }
            if Instant::now() > deadline {
                listener.fail("invariant 3: never heard the rest");
            }
        }
        listener.one_session().await;
        let pause = *pick(&mut listener.rng, &[1, 100, 2_000]);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

impl Listener {
    fn fail(&self, what: &str) -> ! {
        self.world.fail(&format!("{} ({}) {what}, at {:?}", self.who, self.person.user, self.at))
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        self.world.say(&self.who, what);
    }

    /// Whether nothing is left that it should hear, and nobody does anything any more.
    fn has_all(&self) -> bool {
        self.world.is_at_rest()
            && self.at.is_some_and(|at| {
                let shadow = self.world.shadow();
                shadow.next_frame(self.crew.partition, self.crew.team, self.person.user, at).is_none()
            })
    }

    async fn one_session(&mut self) {
        let by = self.choose();
        let life = self.world.any(&mut self.rng).await;
        let Some(mut socket) = self.come(&life, &by).await else { return };
        let stays = Duration::from_millis(*pick(&mut self.rng, &[20, 500, 3_000, 15_000]));
        let stays = Instant::now() + stays.mul_f64(self.rng.random());
        let slow = self.rng.random_bool(0.3);
        loop {
            if self.world.is_ending() && self.has_all() {
                return;
            }
            let until = if self.world.is_ending() { Instant::now() + Duration::from_secs(5) } else { stays };
            tokio::select! {
                biased;
                heard = socket.next() => match heard {
                    Some(Heard::Frame(frame)) => self.take(&frame),
                    Some(Heard::Closed(code)) => {
                        self.say(format_args!("closed with {code}"));
                        if ![1001, 1013].contains(&code) {
                            self.fail(&format!("was closed with {code}"));
                        }
                        return;
                    }
                    None => return self.say(format_args!("lost its connection")),
                },
                () = tokio::time::sleep_until(until) => {
                    if !self.world.is_ending() {
                        return self.say(format_args!("goes"));
                    }
                }
            }
            if slow && !self.world.is_ending() {
                let rests = self.rng.random_range(0..60);
                tokio::time::sleep(Duration::from_millis(rests)).await;
            }
        }
    }

    fn choose(&mut self) -> By {
        let fresh = self.at.is_none() || (!self.world.is_ending() && self.rng.random_bool(0.1));
        let url_first = self.rng.random_bool(0.5);
        let (cursor, url) = (self.cursor.clone().map(By::Cursor), self.url.clone().map(By::Url));
        match (fresh, url_first) {
            (true, _) => By::Start,
            (false, true) => url.or(cursor).unwrap_or(By::Start),
            (false, false) => cursor.or(url).unwrap_or(By::Start),
        }
    }

    /// Opens a socket; none if the client was told to retry later.
    async fn come(&mut self, life: &Arc<Life>, by: &By) -> Option<Socket> {
        let patience = Duration::from_secs(15);
        let (url, place) = match by {
            By::Url(url) => {
                let place = ticket_place(url).unwrap_or_else(|| self.fail("has a url without a place"));
                (url.clone(), place)
            }
            By::Start | By::Cursor(_) => {
                self.cursors = self.rng.random_bool(0.5);
                let mut args = json!({ "cursors": self.cursors });
                if let By::Cursor(cursor) = by {
                    args["cursor"] = json!(cursor);
                }
                let answer = tokio::time::timeout(patience, life.connect(&self.person.token, args)).await;
                let answer = match answer {
                    Ok(Ok(Ok(answer))) => answer,
                    Ok(Ok(Err(why))) if ["cursor_expired", "cursor_invalid", "invalid_auth"].contains(&why.code()) => {
                        self.fail(&format!("was refused by {}: {}", life.name, why.code()));
                    }
                    Ok(Ok(Err(why))) => {
                        self.say(format_args!("{} says {}", life.name, why.code()));
                        return None;
                    }
                    Ok(Err(_)) | Err(_) => return None,
                };
                let cursor = answer["cursor"].as_str().unwrap_or_default().to_owned();
                let place = cursor_place(&cursor).unwrap_or_else(|| self.fail("was given a cursor without a place"));
                if let By::Cursor(asked) = by
                    && cursor_place(asked) != Some(place)
                {
                    self.fail(&format!("asked to go on at {asked:?} and was put at {place:?}"));
                }
                self.cursor = Some(cursor);
                (answer["url"].as_str().unwrap_or_default().to_owned(), place)
            }
        };
        self.is_true(place);
        self.say(format_args!("comes to {} by {} at {}+{}", life.name, name(by), place.position.offset, place.skip));
        self.at = Some(place.into());
        // What was given to another session says nothing of this one.
        (self.cursor, self.url) = (self.cursor.take().filter(|_| !matches!(by, By::Url(_))), None);
        if let By::Url(url) = by {
            self.url = Some(url.clone());
        }
        Some(life.open(&url))
    }

    /// A position is what the fence says at its offset, the closed flag included.
    fn is_true(&self, place: Place) {
        let here = self.world.shadow().position(self.crew.partition, place.position.offset);
        if here != Some(place.position) {
            self.fail(&format!("was given {:?}, where the log is at {here:?}", place.position));
        }
    }

    fn take(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap_or_default();
        match kind {
            "error" => self.fail(&format!("was told {frame}")),
            "reconnect_url" => {
                let url = frame["url"].as_str().unwrap_or_default();
                let place = ticket_place(url).unwrap_or_else(|| self.fail("has a url without a place"));
                self.is_true(place);
                self.leads_on(place.into());
                self.url = Some(url.to_owned());
            }
            _ if BESIDES.contains(&kind) => {}
            _ => self.take_event(kind, frame),
        }
    }

    /// Checks that a session that returns by a `reconnect_url` continues exactly where it was when the URL was given.
    fn leads_on(&self, to: At) {
        let shadow = self.world.shadow();
        let next = |at| {
            let next = shadow.next_frame(self.crew.partition, self.crew.team, self.person.user, at);
            next.map(|next| next.at)
        };
        let (here, there) = (self.at.map(next), next(to));
        drop(shadow);
        if here != Some(there) {
            self.fail(&format!("invariant 3: was given a url that goes on at {to:?}: with {there:?}, not {here:?}"));
        }
    }

    /// Invariants 3 and 4: the next frame of the log is the next one for this user.
    fn take_event(&mut self, kind: &str, frame: &Value) {
        let at = self.at.unwrap_or_else(|| self.fail("heard something before it came"));
        let shadow = self.world.shadow();
        let next = shadow.next_frame(self.crew.partition, self.crew.team, self.person.user, at);
        let wrong = match &next {
            None => Some("nothing".to_owned()),
            Some(next) => {
                let shown = next.shown;
                let said = frame.get("text").and_then(Value::as_str);
                let channel = frame["channel"].as_str().or(frame["channel"]["id"].as_str());
                let fits = kind == shown.kind
                    && frame["event_ts"] == shown.event_ts.as_str()
                    && (shown.text.is_none() || said == shown.text.as_deref())
                    && shown.channel.is_none_or(|wanted| channel == Some(wanted.to_string().as_str()));
                (!fits).then(|| format!("{:?} at {:?}", next.shown, next.at))
            }
        };
        let behind = next.map(|next| next.behind);
        drop(shadow);
        if let Some(wrong) = wrong {
            self.fail(&format!("invariant 3 or 4: heard {frame} where {wrong} should come"));
        }
        let behind = behind.unwrap_or_else(|| self.fail("heard what is not"));
        self.cursor = None;
        if let Some(cursor) = frame["cursor"].as_str() {
            if cursor_place(cursor) != Some(behind) {
                self.fail(&format!("heard {frame} with a cursor at {:?}, not {behind:?}", cursor_place(cursor)));
            }
            self.cursor = Some(cursor.to_owned());
        }
        self.at = Some(behind.into());
        self.heard += 1;
        self.say(format_args!("hears {kind} before {}+{}", behind.position.offset, behind.skip));
    }
}

const fn name(by: &By) -> &'static str {
    match by {
        By::Start => "a start",
        By::Cursor(_) => "a cursor",
        By::Url(_) => "a url",
    }
}
