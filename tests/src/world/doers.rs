//! The actors that write, and those that move people in and out of conversations.

use std::collections::HashSet;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;

use super::motion::{EVERYBODY, Told, World, numbered, time};

impl World {
    /// Posts without pause, and sometimes edits the last message or sets a topic.
    pub(super) async fn write(&self, writer: usize, mut rng: StdRng) {
        while self.is_on() {
            tokio::time::sleep(self.size.pause).await;
            let place = &self.places[rng.random_range(0..self.places.len())];
            let number = self.next_number();
            let key = uuid::Uuid::new_v4().to_string();
            let words = numbered(number) + &" and so on".repeat(if rng.random_bool(0.1) { 400 } else { 5 });
            let post = json!({ "channel": place.id, "text": words, "client_msg_id": key });
            let ts = time(&self.ask(writer, "chat.postMessage", &post).await["ts"]);
            self.told.lock().unwrap().push(Told { writer, number, post, ts });
            {
                let mut acked = self.acked.lock().unwrap();
                *acked = ts.max(*acked);
            }
            self.posted.send_modify(|posted| *posted += 1);
            if rng.random_bool(0.05) {
                let edited = format!("{} edited", numbered(number));
                let args = json!({ "channel": place.id, "ts": ts.to_string(), "text": edited });
                self.insist(writer, "chat.update", args).await;
            }
            if rng.random_bool(0.1) {
                let topic = numbered(self.next_number());
                self.insist(writer, "conversations.setTopic", json!({ "channel": place.id, "topic": topic })).await;
            }
        }
    }

    /// Moves pairs of people. Each mover has pairs of its own.
    pub(super) async fn keep_moving(&self, mover: usize, mut rng: StdRng) {
        let movable = self.size.writers..self.size.people - self.size.outsiders;
        let pairs = movable.step_by(2).skip(mover).step_by(self.size.movers);
        let pairs: Vec<[usize; 2]> = pairs.map(|one| [one, self.size.mate(one)]).collect();
        let mut inside = HashSet::new();
        while self.is_on() {
            tokio::time::sleep(self.size.pause).await;
            let place = rng.random_range(EVERYBODY + 1..self.places.len());
            let pair = *pairs.choose(&mut rng).unwrap();
            if self.places[place].is_private {
                let (into, out): (Vec<usize>, Vec<usize>) =
                    pair.into_iter().partition(|person| !inside.contains(&(place, *person)));
                if into.len() == 2 || (into.len() == 1 && rng.random_bool(0.5)) {
                    let ids: Vec<&str> = into.iter().map(|person| self.people[*person].id.as_str()).collect();
                    let args = json!({ "channel": self.places[place].id, "users": ids.join(",") });
                    self.insist(mover, "conversations.invite", args).await;
                    inside.extend(into.iter().map(|person| (place, *person)));
                } else {
                    let person = *out.choose(&mut rng).unwrap();
                    self.leave_or_kick(mover, place, person, rng.random_bool(0.5)).await;
                    inside.remove(&(place, person));
                }
            } else {
                let person = *pair.choose(&mut rng).unwrap();
                if inside.insert((place, person)) {
                    self.insist(person, "conversations.join", json!({ "channel": self.places[place].id })).await;
                } else {
                    self.leave_or_kick(mover, place, person, mover == 0 && rng.random_bool(0.5)).await;
                    inside.remove(&(place, person));
                }
            }
        }
    }

    async fn leave_or_kick(&self, mover: usize, place: usize, person: usize, kick: bool) {
        let channel = &self.places[place].id;
        if kick {
            let args = json!({ "channel": channel, "user": self.people[person].id });
            self.insist(mover, "conversations.kick", args).await;
        } else {
            self.insist(person, "conversations.leave", json!({ "channel": channel })).await;
        }
    }
}
