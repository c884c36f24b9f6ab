//! Homes: which gateway serves a team.
//!
//! A team's calls and sockets come together at its partition's home, so that one gateway has it in memory, and what is in
//! no log (presence, typing, marks a moment ago) is known to all who should see it. It is a matter of cost and of those:
//! any gateway can serve any team, and does while the home cannot be reached.

use std::sync::Arc;

use teamlog_cluster::{Link, Membership, Peer};
use teamlog_log::Partition;
use tokio::sync::watch;

/// The table of nodes as a gateway sees it, and the way to the others.
#[derive(Clone)]
pub struct Homes {
    members: watch::Receiver<Arc<Membership>>,
    link: Link,
}

impl Homes {
    /// By this table, over this link.
    pub fn new(members: watch::Receiver<Arc<Membership>>, link: Link) -> Homes {
        Homes { members, link }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The table, as it changes.
    pub(crate) fn members(&self) -> watch::Receiver<Arc<Membership>> {
        self.members.clone()
    }

    /// The home of a partition, if that is another gateway.
    pub(crate) fn elsewhere(&self, partition: Partition) -> Option<Arc<Peer>> {
        let members = self.members.borrow();
        members.home(partition).filter(|home| home.node != members.me()).cloned()
    }
}
