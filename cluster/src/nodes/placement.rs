//! Placement: which node writes, serves and projects a partition, as a pure function of the live nodes.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use sha2::{Digest, Sha256};
use teamlog_log::{Partition, TopicPartition};
use uuid::Uuid;

/// The role of a process: the work that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Every role at once, alone on its log.
    Serve,
    /// Writes partitions.
    Ingest,
    /// Serves clients.
    Gateway,
    /// Builds views.
    Project,
    /// Runs consumers.
    Work,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Serve, Role::Ingest, Role::Gateway, Role::Project, Role::Work];

    /// Returns the role's name in the configuration, in heartbeats and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Serve => "serve",
            Role::Ingest => "ingest",
            Role::Gateway => "gateway",
            Role::Project => "project",
            Role::Work => "work",
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
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or(())
    }
}

/// A live node, as its newest heartbeat describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node's id. Lasts as long as its data directory.
    pub node: Uuid,
    /// The id of the process.
    pub life: Uuid,
    /// The node's role.
    pub role: Role,
    /// The address for other nodes: `http://host:port`.
    pub address: String,
    /// The address for clients, if the node serves any.
    pub url: Option<String>,
    /// The version of its program.
    pub version: String,
    /// The schema ids that it knows.
    pub schemas: BTreeSet<u32>,
    /// The views that it builds.
    pub views: Vec<String>,
    /// The consumers that it runs.
    pub kinds: Vec<String>,
    /// True if the node takes part in placement: it is ready and is not shutting down.
    pub serving: bool,
    /// True if its clock is true enough to claim partitions.
    pub may_claim: bool,
}

impl Peer {
    /// Makes a node that takes part in placement and may claim. Its life equals its id; all other fields are empty.
    pub fn new(node: Uuid, role: Role) -> Peer {
        Peer {
            node,
            life: node,
            role,
            address: String::new(),
            url: None,
            version: String::new(),
            schemas: BTreeSet::new(),
            views: Vec::new(),
            kinds: Vec::new(),
            serving: true,
            may_claim: true,
        }
    }

    fn runs(&self, kind: &str) -> bool {
        self.kinds.iter().any(|one| one == kind)
    }

    fn builds(&self, view: &str) -> bool {
        self.views.iter().any(|one| one == view)
    }
}

/// The live nodes, this one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    me: Uuid,
    peers: Vec<Arc<Peer>>,
    /// The schemas that some live node knows and another does not.
    news: BTreeSet<u32>,
}

impl Membership {
    /// Makes the table of these nodes, as the node `me` sees it.
    pub fn of(me: Uuid, peers: Vec<Peer>) -> Membership {
        Membership::of_shared(me, peers.into_iter().map(Arc::new).collect())
    }

    pub(super) fn of_shared(me: Uuid, mut peers: Vec<Arc<Peer>>) -> Membership {
        peers.sort_by_key(|peer| peer.node);
        let known: BTreeSet<u32> = peers.iter().flat_map(|peer| &peer.schemas).copied().collect();
        let is_news = |id: &u32| peers.iter().any(|peer| !peer.schemas.contains(id));
        let news = known.into_iter().filter(is_news).collect();
        Membership { me, peers, news }
    }

    /// Makes a table of one node that has every role.
    pub fn alone(node: Uuid) -> Membership {
        Membership::of(node, vec![Peer::new(node, Role::Serve)])
    }

    /// Returns the id of this node.
    pub fn me(&self) -> Uuid {
        self.me
    }

    /// Returns all live nodes, ordered by id.
    pub fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }

    /// Returns the node that should write a partition of `events`, or the directory. A node that may not claim is chosen
    /// only if no node may: it continues to write what it has claimed.
    pub fn owner(&self, source: TopicPartition) -> Option<&Arc<Peer>> {
        let writes = |peer: &Peer| matches!(peer.role, Role::Serve | Role::Ingest);
        self.best(source, |peer| writes(peer) && peer.may_claim).or_else(|| self.best(source, writes))
    }

    /// Returns the node that should serve a partition's teams.
    pub fn home(&self, partition: Partition) -> Option<&Arc<Peer>> {
        self.best(TopicPartition::events(partition), |peer| matches!(peer.role, Role::Serve | Role::Gateway))
    }

    /// Returns the node that should build a view from one of its sources.
    pub fn projects(&self, view: &str, source: TopicPartition) -> Option<&Arc<Peer>> {
        let builds = |peer: &Peer| matches!(peer.role, Role::Serve | Role::Project) && peer.builds(view);
        self.best(source, builds)
    }

    /// Returns the node that should run a consumer's work of a partition.
    pub fn works(&self, kind: &str, partition: Partition) -> Option<&Arc<Peer>> {
        let runs = |peer: &Peer| matches!(peer.role, Role::Serve | Role::Work) && peer.runs(kind);
        self.best(TopicPartition::events(partition), runs)
    }

    /// Returns the nodes that can search a partition's messages, best first.
    pub fn searchers(&self, partition: Partition) -> Vec<&Arc<Peer>> {
        let source = TopicPartition::events(partition);
        let may = |peer: &&Arc<Peer>| peer.serving && peer.role == Role::Project && peer.builds("search");
        let mut searchers: Vec<_> = self.peers.iter().filter(may).collect();
        searchers.sort_by_key(|peer| std::cmp::Reverse(weight(peer.node, source)));
        searchers
    }

    /// Returns true if every live node can read the events of a schema that this node writes.
    pub fn all_know(&self, schema_id: u32) -> bool {
        !self.news.contains(&schema_id)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(number: u128, role: Role) -> Peer {
        Peer {
            views: vec!["search".to_owned()],
            kinds: vec!["unfurl".to_owned()],
            ..Peer::new(Uuid::from_u128(number), role)
        }
    }

    fn table(peers: impl IntoIterator<Item = Peer>) -> Membership {
        Membership::of(Uuid::nil(), peers.into_iter().collect())
    }

    fn owners(table: &Membership) -> Vec<Option<u128>> {
        let owner = |number| table.owner(TopicPartition::events(Partition(number))).map(|peer| peer.node.as_u128());
        (0..1_024).map(owner).collect()
    }

    #[test]
    fn each_has_about_its_share() {
        let owners = owners(&table((1..=5).map(|number| peer(number, Role::Ingest))));
        for number in 1..=5 {
            let share = owners.iter().filter(|owner| **owner == Some(number)).count();
            assert!((150..=260).contains(&share), "{number}: {share} of 1024");
        }
    }

    #[test]
    fn only_the_right_role_is_chosen_and_nobody_where_there_is_none() {
        let table = table([peer(1, Role::Gateway), peer(2, Role::Project)]);
        let source = TopicPartition::events(Partition(0));
        assert_eq!(table.owner(source), None);
        assert_eq!(table.home(Partition(0)).map(|peer| peer.node.as_u128()), Some(1));
        assert_eq!(table.projects("search", source).map(|peer| peer.node.as_u128()), Some(2));
        assert_eq!(table.projects("mains", source), None, "nobody builds it");
        let searchers = table.searchers(Partition(0)).into_iter().map(|peer| peer.node.as_u128());
        assert_eq!(searchers.collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn work_is_shared_by_the_nodes_that_run_its_kind() {
        let other = Peer { kinds: vec!["export".to_owned()], ..peer(3, Role::Work) };
        let table =
            table([peer(1, Role::Work), peer(2, Role::Work), other, peer(4, Role::Ingest), peer(5, Role::Project)]);
        let who = |kind| -> BTreeSet<_> {
            let all = (0..64).map(|number| table.works(kind, Partition(number)).map(|peer| peer.node.as_u128()));
            all.collect()
        };
        assert_eq!(who("unfurl"), BTreeSet::from([Some(1), Some(2)]));
        assert_eq!(who("export"), BTreeSet::from([Some(3)]));
        assert_eq!(who("nothing"), BTreeSet::from([None]));
    }

    #[test]
    fn who_may_not_claim_owns_nothing_unless_nobody_may() {
        let off = |number, role| Peer { may_claim: false, ..peer(number, role) };
        let [right, wrong] = [1, 2].map(|number| peer(number, Role::Ingest));
        let both = owners(&table([right.clone(), wrong]));
        assert!(both.contains(&Some(1)) && both.contains(&Some(2)));
        assert_eq!(owners(&table([right, off(2, Role::Ingest)])), vec![Some(1); 1_024]);
        assert_eq!(owners(&table([off(1, Role::Ingest), off(2, Role::Ingest)])), both, "whoever writes goes on");
        let gateway = table([off(3, Role::Gateway)]);
        assert_eq!(gateway.home(Partition(0)).map(|peer| peer.node.as_u128()), Some(3), "only claims ask for it");
    }

    #[test]
    fn what_one_knows_and_another_does_not_is_news() {
        let knows = |number, ids: &[u32]| Peer { schemas: ids.iter().copied().collect(), ..peer(number, Role::Ingest) };
        let table = table([knows(1, &[1, 2, 3]), knows(2, &[1, 2])]);
        assert_eq!([1, 2, 3].map(|id| table.all_know(id)), [true, true, false]);
    }

    proptest! {
        #[test]
        fn when_one_goes_only_its_partitions_move(nodes in prop::collection::btree_set(1u128.., 2..8), gone in any::<prop::sample::Index>()) {
            let nodes: Vec<u128> = nodes.into_iter().collect();
            let gone = nodes[gone.index(nodes.len())];
            let before = owners(&table(nodes.iter().map(|number| peer(*number, Role::Ingest))));
            // The order of the heartbeats does not matter, and a node that is shutting down counts as gone.
            let left = nodes.iter().rev().map(|number| Peer { serving: *number != gone, ..peer(*number, Role::Ingest) });
            let after = owners(&table(left));
            for (before, after) in before.into_iter().zip(after) {
                prop_assert!(before == after || before == Some(gone), "{before:?} {after:?}");
                prop_assert!(after != Some(gone));
            }
        }
    }
}
