//! `Gateway`: the parts that every call and every socket uses.

use std::sync::Arc;

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use teamlog_cluster::Peer;
use teamlog_ingest::Ingest;
use teamlog_log::{Feed, Partition};
use teamlog_projectors::{Cache, History, Shards};
use teamlog_schemas::{Event, TeamId, UserId};
use teamlog_state::SourceError;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{GatewayConfig, Homes, Jobs, Rtm, config::websocket_url, rates::Rates, read::MessageIndex};

/// The state of the parts, for `/readyz`.
#[async_trait]
pub trait Health: Send + Sync + 'static {
    /// Returns the current state. Must answer within about a second, even if a part is unavailable.
    async fn report(&self) -> HealthReport;
}

/// The report of [`Health`].
#[derive(Clone, Debug)]
pub struct HealthReport {
    /// Whether this process can serve.
    pub ready: bool,
    /// An object: each part's state and lag.
    pub parts: Value,
}

/// The store of password hashes: the topic `credentials`.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// Stores a user's hash (an argon2id string) and returns its id once it is acknowledged. The hash is valid once an event
    /// names that id. Neither the team nor the user need exist before.
    ///
    /// # Errors
    /// If it was not stored, or the outcome is unknown. A stored hash that no event names does no harm.
    async fn store(&self, team: TeamId, user: UserId, hash: String) -> Result<Uuid, SourceError>;

    /// Returns the hash that is valid for a user now; none if they have no password.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn password(&self, team: TeamId, user: UserId) -> Result<Option<String>, SourceError>;
}

/// The parts that a gateway is built from.
pub struct GatewayParts {
    /// The write path and the live teams.
    pub ingest: Ingest,
    /// The rows behind them.
    pub shards: Shards,
    /// Where the newest pages of conversations are kept.
    pub cache: Arc<dyn Cache>,
    /// The tail of what rows have not seen yet.
    pub feed: Feed<Event>,
    /// The websocket half.
    pub rtm: Arc<Rtm>,
    /// Which gateway serves a team; none: this one serves them all.
    pub homes: Option<Homes>,
    /// Search, where there is any.
    pub search: Option<Arc<dyn MessageIndex>>,
    /// Passwords, where they can be kept.
    pub credentials: Option<Arc<dyn Credentials>>,
    /// Work that failed for good, where it can be looked at.
    pub jobs: Option<Arc<dyn Jobs>>,
    /// The state of the parts.
    pub health: Arc<dyn Health>,
    /// The recorder behind `/metrics`; none if nothing is recorded.
    pub metrics: Option<PrometheusHandle>,
    /// The settings.
    pub config: GatewayConfig,
}

/// The gateway. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    parts: GatewayParts,
    history: History,
    rates: Rates,
    passwords: Semaphore,
}

impl Gateway {
    /// Puts a gateway together.
    pub fn new(parts: GatewayParts) -> Gateway {
        let rates = Rates::new(&parts.config.rates);
        let passwords = Semaphore::new(parts.config.passwords_at_once.max(1));
        let history = History::new(parts.shards.clone(), parts.cache.clone(), parts.feed.clone());
        Gateway { inner: Arc::new(Inner { parts, history, rates, passwords }) }
    }

    /// The settings.
    pub fn config(&self) -> &GatewayConfig {
        &self.inner.parts.config
    }
    /// The write path and the live teams.
    pub fn ingest(&self) -> &Ingest {
        &self.inner.parts.ingest
    }
    /// The rows.
    pub fn shards(&self) -> &Shards {
        &self.inner.parts.shards
    }
    /// Pages of conversations, from the cache where it has them.
    pub(crate) fn history(&self) -> &History {
        &self.inner.history
    }
    /// The tail.
    pub fn feed(&self) -> &Feed<Event> {
        &self.inner.parts.feed
    }
    /// The websocket half.
    pub(crate) fn rtm(&self) -> &Arc<Rtm> {
        &self.inner.parts.rtm
    }
    /// Search.
    pub fn search(&self) -> Option<&Arc<dyn MessageIndex>> {
        self.inner.parts.search.as_ref()
    }
    pub(crate) fn homes(&self) -> Option<&Homes> {
        self.inner.parts.homes.as_ref()
    }
    pub(crate) fn credentials(&self) -> Option<&Arc<dyn Credentials>> {
        self.inner.parts.credentials.as_ref()
    }
    pub(crate) fn jobs(&self) -> Option<&Arc<dyn Jobs>> {
        self.inner.parts.jobs.as_ref()
    }
    pub(crate) fn health(&self) -> &Arc<dyn Health> {
        &self.inner.parts.health
    }
    pub(crate) fn metrics(&self) -> Option<&PrometheusHandle> {
        self.inner.parts.metrics.as_ref()
    }
    pub(crate) fn rates(&self) -> &Rates {
        &self.inner.rates
    }
    /// Held while a password is hashed or checked.
    pub(crate) fn passwords(&self) -> &Semaphore {
        &self.inner.passwords
    }
}

impl Gateway {
    /// The home of a team, if that is another gateway.
    pub(crate) fn home_elsewhere(&self, team: TeamId) -> Option<Arc<Peer>> {
        let homes = self.homes()?;
        homes.elsewhere(self.partition_of(team)?)
    }

    /// Where a team's clients should open their next websocket: `ws://` or `wss://`.
    pub(crate) fn websocket_url_for(&self, team: TeamId) -> String {
        let home = self.home_elsewhere(team).and_then(|home| home.url.as_deref().map(websocket_url));
        home.unwrap_or_else(|| self.config().websocket_url())
    }

    /// The partition that a team lives in.
    pub(crate) fn partition_of(&self, team: TeamId) -> Option<Partition> {
        self.ingest().directory().with(|directory| directory.by_team(team).map(|entry| Partition(entry.partition)))
    }
}
