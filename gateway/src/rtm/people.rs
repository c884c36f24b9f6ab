//! A cache of a team's people as `rtm.start` gives them. They are encoded once for all clients, so an office that
//! reconnects costs one encoding.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use teamlog_schemas::{Event, TeamId};
use teamlog_state::Team;

use crate::render;

/// Everybody, and every bot: two JSON arrays.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) users: Bytes,
    pub(super) bots: Bytes,
}

/// The cache key: the team, how often its people changed since the first read, and the hour, because time zone offsets
/// change with it.
pub(super) type Version = (TeamId, u64, u64);

pub(super) struct People {
    changes: Mutex<HashMap<TeamId, u64>>,
    encoded: moka::sync::Cache<Version, Arc<Encoded>>,
}

impl People {
    pub(super) fn new(bytes_max: u64) -> People {
        let weigh = |_: &Version, encoded: &Arc<Encoded>| {
            u32::try_from(encoded.users.len() + encoded.bots.len() + 128).unwrap_or(u32::MAX)
        };
        People {
            changes: Mutex::default(),
            encoded: moka::sync::Cache::builder().max_capacity(bytes_max).weigher(weigh).build(),
        }
    }

    /// Counts a change of a team's people. Must be called for every event while its team is locked, so that the count
    /// matches the team that is read.
    pub(super) fn note(&self, event: &Event) {
        // An event outside a conversation may change a person.
        if event.conversation().is_none()
            && let Some(team) = event.team()
            && let Some(changes) = self.changes.lock().get_mut(&team)
        {
            *changes += 1;
        }
    }

    /// Returns the cache key for the people of `team`. The team must be locked for reading; a copy of it may be rendered
    /// later.
    pub(super) fn version(&self, team: &Team) -> Version {
        let changes = *self.changes.lock().entry(team.id()).or_default();
        let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 3600;
        (team.id(), changes, hour)
    }

    /// Returns the encoded people of a team as of a version.
    pub(super) fn of(&self, version: Version, team: &Team) -> Arc<Encoded> {
        self.encoded.get_with(version, || Arc::new(encode(team)))
    }
}

fn encode(team: &Team) -> Encoded {
    let users = team.people().map(|member| render::user(team, member)).collect::<Value>();
    let bots = team.people().filter_map(|member| render::user_bot(team, member));
    let bots = bots.chain(team.bots().map(|bot| render::bot(team, bot))).collect::<Value>();
    Encoded { users: users.to_string().into(), bots: bots.to_string().into() }
}
