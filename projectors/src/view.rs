//! The views that lie in a database, as rebuild and verify see them.

use std::sync::Arc;

use crate::{
    db::{Replica, Schema},
    mains::{MAINS, Mains, MainsProjector},
    projector::Projector,
    shards::{SHARD, ShardProjector, Shards},
};

/// A view in a database.
#[derive(Clone)]
pub enum View {
    /// The directory.
    Mains(Mains),
    /// One shard, by its name.
    Shard(Shards, String),
}

impl View {
    /// All of them: the directory first.
    pub fn all(mains: &Mains, shards: &Shards) -> Vec<View> {
        let each = shards.names().map(|name| View::Shard(shards.clone(), name.to_owned()));
        std::iter::once(View::Mains(mains.clone())).chain(each).collect()
    }

    /// As the runner and people call it: `mains`, `shard s1`.
    pub fn name(&self) -> String {
        match self {
            View::Mains(_) => "mains".to_owned(),
            View::Shard(_, name) => format!("shard {name}"),
        }
    }

    /// Its replicas, nearest first.
    pub fn replicas(&self) -> Vec<Replica> {
        match self {
            View::Mains(mains) => mains.replicas(),
            View::Shard(shards, name) => shards.replicas(name),
        }
    }

    /// A projector of this view to any replica.
    pub(crate) fn projector(&self, replica: Replica) -> Arc<dyn Projector> {
        match self {
            View::Mains(_) => Arc::new(MainsProjector::new(replica)),
            View::Shard(shards, name) => Arc::new(ShardProjector::new(name, shards.partitions_of(name), replica)),
        }
    }

    pub(crate) fn schema(&self) -> &'static Schema {
        match self {
            View::Mains(_) => &MAINS,
            View::Shard(..) => &SHARD,
        }
    }
}
