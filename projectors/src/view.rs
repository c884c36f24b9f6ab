//! The views as operators see them: which there are, their replicas, and what can be asked of each.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use teamlog_log::{Feed, Partition, Position, TopicPartition};
use teamlog_schemas::Event;

use crate::{
    db::Replica,
    mains::{MAINS, Mains, MainsProjector},
    names,
    projector::Projector,
    shards::{SHARD, ShardProjector, Shards},
    verify::{
        BuildTimes, DatabaseReplica, IndexReplica, OneTeam, Rebuildable, Rebuilt, Switched, Verified, VerifyError,
        rebuild, switch, time_build, verify,
    },
};

/// A view.
#[derive(Clone)]
pub enum View {
    /// The directory.
    Mains(Mains),
    /// The view of the shard with this name.
    Shard(Shards, String),
    /// The search index in a local directory, and the number of partitions that it indexes.
    Search(PathBuf, u32),
}

impl View {
    /// Returns all views: the directory first, then the shards, then the search index.
    pub fn all(mains: &Mains, shards: &Shards, search: &Path) -> Vec<View> {
        let each = shards.names().map(|name| View::Shard(shards.clone(), name.to_owned()));
        let search = View::Search(search.to_owned(), shards.partitions());
        std::iter::once(View::Mains(mains.clone())).chain(each).chain([search]).collect()
    }

    /// The view's name, as the runner and operators use it: `mains`, `shard s1`, `search`.
    pub fn name(&self) -> String {
        match self {
            View::Mains(_) => names::MAINS.to_owned(),
            View::Shard(_, name) => names::shard(name),
            View::Search(..) => names::SEARCH.to_owned(),
        }
    }

    /// Its replicas, nearest first.
    pub fn replicas(&self) -> Vec<ViewReplica> {
        let of = |kind: Kind| ViewReplica { view: self.name(), kind };
        match self {
            View::Mains(mains) => mains.replicas().into_iter().map(|replica| of(of_mains(replica))).collect(),
            View::Shard(shards, name) => {
                shards.replicas(name).into_iter().map(|replica| of(of_shard(shards, name, replica))).collect()
            }
            View::Search(dir, partitions) => vec![of(Kind::Index(IndexReplica::new(dir, *partitions)))],
        }
    }
}

fn of_mains(replica: Replica) -> Kind {
    let projector = |replica, _| Arc::new(MainsProjector::new(replica)) as Arc<dyn Projector>;
    Kind::Database(DatabaseReplica { replica, schema: &MAINS, projector: Arc::new(projector) })
}

fn of_shard(shards: &Shards, shard: &str, replica: Replica) -> Kind {
    let (partitions, shard) = (shards.partitions_of(shard), shard.to_owned());
    let projector = move |replica, team: Option<OneTeam>| {
        let is_asked = |partition: &Partition| team.is_none_or(|team| team.partition == *partition);
        let partitions = partitions.iter().copied().filter(is_asked);
        Arc::new(ShardProjector::new(&shard, partitions, replica)) as Arc<dyn Projector>
    };
    Kind::Database(DatabaseReplica { replica, schema: &SHARD, projector: Arc::new(projector) })
}

/// A replica of a view.
#[derive(Clone)]
pub struct ViewReplica {
    view: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Database(DatabaseReplica),
    Index(IndexReplica),
}

macro_rules! on_kind {
    ($self:ident, $replica:ident => $work:expr) => {
        match &$self.kind {
            Kind::Database($replica) => $work,
            Kind::Index($replica) => $work,
        }
    };
}

impl ViewReplica {
    /// The view.
    pub fn view(&self) -> &str {
        &self.view
    }

    /// The replica's name, without credentials.
    pub fn name(&self) -> &str {
        on_kind!(self, replica => replica.name())
    }

    /// The sources that the view reads.
    pub fn sources(&self) -> Vec<TopicPartition> {
        on_kind!(self, replica => replica.sources())
    }

    /// Returns the durable position in each source. A source without an entry has not been started.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, VerifyError> {
        on_kind!(self, replica => replica.positions().await)
    }

    /// Returns the current generation: 0 until the first rebuild.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn generation(&self) -> Result<u32, VerifyError> {
        on_kind!(self, replica => replica.current().await)
    }

    /// A generation that is complete and was not switched to yet.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn built(&self) -> Result<Option<u32>, VerifyError> {
        on_kind!(self, replica => replica.built().await)
    }

    /// Compares every row with a fold of the log up to the very position of this replica; with `team` only that team's.
    /// The fold is built in a folder under `scratch`, which is removed afterwards.
    ///
    /// # Errors
    /// If the log or the replica does not answer; a difference is no error.
    pub async fn verify(
        &self,
        feed: &Feed<Event>,
        team: Option<OneTeam>,
        scratch: &Path,
    ) -> Result<Verified, VerifyError> {
        on_kind!(self, replica => verify(feed, replica, team, scratch).await)
    }

    /// Builds a new generation from the log, and compares the old one with it. If it is to be switched, the new generation
    /// becomes current and the old one is removed; readers and runners switch by themselves. Run only one rebuild of a
    /// replica at a time: two would remove each other's generations.
    ///
    /// # Errors
    /// If the log or the replica does not answer. Then the old generation stays current.
    pub async fn rebuild(&self, feed: &Feed<Event>, is_switched: bool) -> Result<Rebuilt, VerifyError> {
        on_kind!(self, replica => rebuild(feed, &self.view, replica, is_switched).await)
    }

    /// Makes the generation that a rebuild completed without switching current, and removes the old one.
    ///
    /// # Errors
    /// [`VerifyError::NotBuilt`], or if the log or the replica does not answer.
    pub async fn switch(&self, feed: &Feed<Event>) -> Result<Switched, VerifyError> {
        on_kind!(self, replica => switch(feed, &self.view, replica).await)
    }

    /// Measures how fast the replica is built, and how fast its database takes equal rows by plain inserts. Builds a copy
    /// from a limited number of log entries, inserts its rows a second time, and removes both. None for an index. Like a
    /// rebuild, run only one at a time.
    ///
    /// # Errors
    /// If the log or the replica does not answer.
    pub async fn time_build(&self, feed: &Feed<Event>, entries_max: u64) -> Result<Option<BuildTimes>, VerifyError> {
        match &self.kind {
            Kind::Database(replica) => time_build(feed, replica, entries_max).await.map(Some),
            Kind::Index(_) => Ok(None),
        }
    }
}
