//! This process's place among the nodes of its log.

use std::sync::Arc;

use teamlog_cluster::{JoinError, Membership, Nodes};
use tokio::sync::watch;
use uuid::Uuid;

/// Among others, or alone.
pub(super) enum Place {
    Among(Nodes),
    /// On the embedded engine there are no others, and no heartbeats.
    Alone {
        node: Uuid,
        table: watch::Sender<Arc<Membership>>,
    },
}

impl Place {
    pub(super) fn new(nodes: Option<Nodes>, node: Uuid) -> Place {
        match nodes {
            Some(nodes) => Place::Among(nodes),
            None => Place::Alone { node, table: watch::Sender::new(Arc::new(Membership::of(node, Vec::new()))) },
        }
    }

    /// The table of nodes, as it changes.
    pub(super) fn members(&self) -> watch::Receiver<Arc<Membership>> {
        match self {
            Place::Among(nodes) => nodes.members(),
            Place::Alone { table, .. } => table.subscribe(),
        }
    }

    /// Ends only if this process must not be among the nodes after all, with the reason.
    pub(super) async fn refused(&self) -> JoinError {
        match self {
            Place::Among(nodes) => nodes.refused().await,
            Place::Alone { .. } => std::future::pending().await,
        }
    }

    /// From now on this node may be chosen.
    pub(super) fn take_part(&self) {
        match self {
            Place::Among(nodes) => nodes.take_part(true),
            Place::Alone { node, table } => {
                table.send_replace(Arc::new(Membership::alone(*node)));
            }
        }
    }

    /// From now on another one is chosen, if there is one. Who is alone writes on to its end.
    pub(super) fn leave_to_others(&self) {
        if let Place::Among(nodes) = self {
            nodes.take_part(false);
        }
    }

    /// Says goodbye. To be called once this process writes nothing any more.
    pub(super) async fn leave(self) {
        if let Place::Among(nodes) = self {
            nodes.leave().await;
        }
    }
}
