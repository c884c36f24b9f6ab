//! The memory of keyed writes of the last minutes.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use teamlog_schemas::{Event, Ts, UserId};

/// How long a keyed write stays in memory, by the events' own time, in microseconds: ten minutes. A client's retries
/// come within seconds; whoever comes later is answered from the shard's table `keys`.
const KEPT_MICROS: i64 = 600_000_000;
/// The most keys in memory a team: a flood of keyed writes forgets the oldest sooner, which costs a look-up.
const KEPT_MAX: usize = 4096;

/// The most bytes of keyed writes in memory a team, for the same reason: one event may have a quarter of a megabyte.
const BYTES_MAX: usize = 16 << 20;
/// The bytes of a key and of an event, without what the event holds on the heap; roughly.
const BYTES_A_KEY: usize = 768;

/// The name of a write with an idempotency key. A client's key is unique only within one actor and method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WriteKey {
    /// The user who sent it; none for the operator's tools.
    pub actor: Option<UserId>,
    /// The method.
    pub method: String,
    /// The client's key.
    pub key: String,
}

impl WriteKey {
    /// The key of an event, if its command had one.
    pub fn of(event: &Event) -> Option<WriteKey> {
        let meta = event.meta()?;
        let (method, key) = (meta.method.clone()?, meta.key.clone()?);
        Some(WriteKey { actor: meta.actor, method, key })
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RecentKeys {
    by_key: Arc<HashMap<WriteKey, Arc<Event>>>,
    by_age: VecDeque<(Ts, WriteKey)>,
    bytes: usize,
}

impl RecentKeys {
    pub(crate) fn get(&self, key: &WriteKey) -> Option<&Arc<Event>> {
        self.by_key.get(key)
    }

    /// A rough number of bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn remember(&mut self, event: &Arc<Event>) {
        let (Some(key), Some(meta)) = (WriteKey::of(event), event.meta()) else { return };
        let by_key = Arc::make_mut(&mut self.by_key);
        // The first event of a key is its answer for as long as it is remembered.
        if let Entry::Vacant(vacant) = by_key.entry(key.clone()) {
            vacant.insert(event.clone());
            self.bytes += bytes_of(event);
        }
        self.by_age.push_back((meta.at, key));
        while let Some((at, _)) = self.by_age.front() {
            let fits = self.by_age.len() <= KEPT_MAX && self.bytes <= BYTES_MAX;
            if fits && meta.at.micros() - at.micros() <= KEPT_MICROS {
                break;
            }
            if let Some((_, key)) = self.by_age.pop_front()
                && let Some(event) = by_key.remove(&key)
            {
                self.bytes -= bytes_of(&event);
            }
        }
    }
}

fn bytes_of(event: &Event) -> usize {
    BYTES_A_KEY + event.heap_bytes()
}

#[cfg(test)]
mod tests {
    use teamlog_schemas::{ConversationId, Message, MessagePosted, Meta, TeamId, Text};
    use uuid::Uuid;

    use super::*;

    fn posted(number: usize, at: Ts, bytes: usize) -> Arc<Event> {
        let meta = Meta {
            event_id: Uuid::from_u128(number as u128),
            team: TeamId::random('T', 1),
            actor: Some(UserId::random('U', 1)),
            at,
            key: Some(number.to_string()),
            method: Some("chat.postMessage".to_owned()),
        };
        let blocks = Some(Text::from("x".repeat(bytes)));
        Arc::new(Event::from(MessagePosted {
            meta,
            conversation: ConversationId::random('C', 1),
            message: Message { ts: at, blocks, ..Message::default() },
            thread: None,
            mentions: Vec::new(),
            broadcast: None,
            opens_for: Vec::new(),
            unfurl: None,
            schedule: None,
        }))
    }

    #[test]
    fn keyed_writes_are_bounded_in_bytes_and_forgotten_whole() {
        let mut keys = RecentKeys::default();
        let at = |number: usize| Ts::from_micros(number as i64);
        keys.remember(&posted(0, at(0), 100_000));
        // The texts of the key and of its method, too.
        let small = BYTES_A_KEY + "0".len() + "chat.postMessage".len();
        assert_eq!(keys.bytes(), small + 100_000);
        keys.remember(&posted(0, at(0), 50_000));
        assert_eq!(keys.bytes(), small + 100_000, "the same key again takes nothing");
        for number in 1..400 {
            keys.remember(&posted(number, at(number), 100_000));
        }
        assert!(keys.bytes() <= BYTES_MAX && keys.bytes() > BYTES_MAX - 200_000, "{}", keys.bytes());
        let last = WriteKey::of(&posted(399, at(399), 0)).unwrap();
        assert!(keys.get(&last).is_some());
        let later = Ts::from_micros(2 * KEPT_MICROS);
        keys.remember(&posted(400, later, 0));
        assert_eq!(keys.bytes(), small + "400".len() - "0".len());
    }
}
