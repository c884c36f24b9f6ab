//! The cluster: its founding, its teams, its nodes.

use uuid::Uuid;

use crate::{About, Fact, FirstChannel, Meta, Person, Reach, Token, Ts, avro::record};

record! {
    /// The first event of the directory: it founds the cluster.
    pub struct ClusterFounded {
        /// The event's own id.
        pub event_id: Uuid,
        /// When.
        pub at: Ts,
        /// The cluster's identity.
        pub cluster_id: Uuid,
        /// HMAC of the cluster's id under its key, in hex: a node with another key is refused.
        pub key_check: String,
        /// The partitions of `events`, for good.
        pub partitions: i32,
    }
}

impl Fact for ClusterFounded {
    fn about(&self) -> About<'_> {
        About::Cluster
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn record_key(&self) -> Option<String> {
        Some("cluster".to_owned())
    }
}

record! {
    /// A domain got its team: the first of the two steps in which a team is made. It carries all that
    /// [`TeamCreated`] will hold.
    pub struct TeamRegistered {
        /// The beginning.
        pub meta: Meta,
        /// The domain: lower case letters, digits, `-`.
        pub domain: String,
        /// The team's name.
        pub name: String,
        /// The partition of `events` that holds the team for life.
        pub partition: i32,
        /// The shard that holds its rows.
        pub shard: String,
        /// The owner.
        pub owner: Person,
        /// The channels that it begins with.
        pub channels: Vec<FirstChannel>,
        /// The owner's token.
        pub token: Option<Token>,
        /// The owner's password, in `credentials`.
        pub credential_id: Option<Uuid>,
    }
}

impl Fact for TeamRegistered {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    fn record_key(&self) -> Option<String> {
        Some(self.domain.clone())
    }
}

record! {
    /// A node is alive (topic `nodes`). A node that stops in good order leaves a tombstone.
    pub struct NodeBeat {
        /// The node; lasts as long as its data directory.
        pub node: Uuid,
        /// The process: a restarted node goes on under its id with another life.
        pub life: Uuid,
        /// When, by its own clock.
        pub at: Ts,
        /// `serve`, `ingest`, `gateway`, `project` or `work`.
        pub role: String,
        /// Where other nodes reach it.
        pub address: String,
        /// Where clients reach it.
        pub url: Option<String>,
        /// The program's version.
        pub version: String,
        /// The schema ids that it knows.
        pub schemas: Vec<i32>,
        /// The partitions of `events` that it writes.
        pub writes: Vec<i32>,
        /// The views that it builds.
        pub views: Vec<String>,
        /// The consumers that it runs.
        pub kinds: Vec<String>,
        /// True if the node takes part in placement: it is ready and is not leaving.
        pub serving: bool,
        /// Its clock is near enough to the brokers' for it to claim partitions.
        pub may_claim: bool,
    }
}

impl Fact for NodeBeat {
    fn about(&self) -> About<'_> {
        About::Cluster
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn record_key(&self) -> Option<String> {
        Some(self.node.to_string())
    }
}
