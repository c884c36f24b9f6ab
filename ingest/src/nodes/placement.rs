//! Placement: who writes, serves and projects a partition, as a pure function of the nodes that live.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use sha2::{Digest, Sha256};
use teamlog_log::{Partition, TopicPartition};
use uuid::Uuid;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// All of them at once, alone on its log.
    Serve,
    /// Writes partitions.
    Ingest,
    /// Serves clients.
    Gateway,
    /// Builds views.
    Project,
}

impl Role {
    /// As configuration, heartbeats and people have it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Serve => "serve",
            Role::Ingest => "ingest",
            Role::Gateway => "gateway",
            Role::Project => "project",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Role, ()> {
        [Role::Serve, Role::Ingest, Role::Gateway, Role::Project].into_iter().find(|role| role.name() == text).ok_or(())
    }
}

/// A live node, by its newest heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id; lasts as long as its data directory.
    pub node: Uuid,
    /// The process.
    pub life: Uuid,
    /// What it is.
    pub role: Role,
    /// Where other nodes reach it: `http://host:port`.
    pub address: String,
    /// Where clients reach it, if they do.
    pub url: Option<String>,
    /// Its program's version.
    pub version: String,
    /// The schema ids that it knows.
    pub schemas: BTreeSet<u32>,
    /// The views that it builds.
    pub views: Vec<String>,
    /// It takes part in placement: it is ready, and does not leave.
    pub serving: bool,
}

impl Peer {
    fn builds(&self, view: &str) -> bool {
        self.views.iter().any(|one| one == view)
    }
}

/// The live nodes, this one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    me: Uuid,
    peers: Vec<Arc<Peer>>,
}

impl Membership {
    /// These nodes, as `me` sees them.
    pub fn of(me: Uuid, peers: Vec<Peer>) -> Membership {
        Membership::of_shared(me, peers.into_iter().map(Arc::new).collect())
    }

    pub(super) fn of_shared(me: Uuid, mut peers: Vec<Arc<Peer>>) -> Membership {
        peers.sort_by_key(|peer| peer.node);
        Membership { me, peers }
    }

    /// One node that does everything.
    pub fn alone(node: Uuid) -> Membership {
        let peer = Peer {
            node,
            life: node,
            role: Role::Serve,
            address: String::new(),
            url: None,
            version: String::new(),
            schemas: BTreeSet::new(),
            views: Vec::new(),
            serving: true,
        };
        Membership::of(node, vec![peer])
    }

    /// This node.
    pub fn me(&self) -> Uuid {
        self.me
    }

    /// All of them, by id.
    pub fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }

    /// Who should write a partition of `events`, or the directory.
    pub fn owner(&self, source: TopicPartition) -> Option<&Arc<Peer>> {
        self.best(source, |peer| matches!(peer.role, Role::Serve | Role::Ingest))
    }

    /// Who should serve a partition's teams.
    pub fn home(&self, partition: Partition) -> Option<&Arc<Peer>> {
        self.best(TopicPartition::events(partition), |peer| matches!(peer.role, Role::Serve | Role::Gateway))
    }

    /// Who should build a view from one of its sources.
    pub fn projects(&self, view: &str, source: TopicPartition) -> Option<&Arc<Peer>> {
        let builds = |peer: &Peer| matches!(peer.role, Role::Serve | Role::Project) && peer.builds(view);
        self.best(source, builds)
    }

    /// Who can be asked for what is found in a partition's messages, best first.
    pub fn searchers(&self, partition: Partition) -> Vec<&Arc<Peer>> {
        let source = TopicPartition::events(partition);
        let may = |peer: &&Arc<Peer>| peer.serving && peer.role == Role::Project && peer.builds("search");
        let mut searchers: Vec<_> = self.peers.iter().filter(may).collect();
        searchers.sort_by_key(|peer| std::cmp::Reverse(weight(peer.node, source)));
        searchers
    }

    /// Whether every live node can read the events of a schema.
    pub fn all_know(&self, schema_id: u32) -> bool {
        self.peers.iter().all(|peer| peer.schemas.contains(&schema_id))
    }

    fn best(&self, source: TopicPartition, may: impl Fn(&Peer) -> bool) -> Option<&Arc<Peer>> {
        let may = self.peers.iter().filter(|peer| peer.serving && may(peer));
        may.max_by_key(|peer| weight(peer.node, source))
    }
}

fn weight(node: Uuid, source: TopicPartition) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(node.as_bytes());
    hash.update(source.topic.name());
    hash.update(source.partition.0.to_be_bytes());
    hash.finalize().into()
}
