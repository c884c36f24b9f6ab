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
    projector::Projector,
    shards::{SHARD, ShardProjector, Shards},
    verify::{
        BuildTimes, DatabaseReplica, IndexReplica, OneTeam, Rebuildable, Rebuilt, Switched, Verified, VerifyError,
        rebuild, switch, time_build, verify,
    },
};

/// A view was asked for that there is not.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no view {name:?}; there are {}", known.join(", "))]
pub struct UnknownView {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: Vec<String>,
}

/// A view.
#[derive(Clone)]
pub enum View {
    /// The directory.
    Mains(Mains),
    /// One shard, by its name.
    Shard(Shards, String),
    /// The search index in a directory of this machine, of so many partitions.
    Search(PathBuf, u32),
}

impl View {
    /// All of them: the directory first.
    pub fn all(mains: &Mains, shards: &Shards, search: &Path) -> Vec<View> {
        let each = shards.names().map(|name| View::Shard(shards.clone(), name.to_owned()));
        let search = View::Search(search.to_owned(), shards.partitions());
        std::iter::once(View::Mains(mains.clone())).chain(each).chain([search]).collect()
    }

    /// Those of `all` that were asked for by name, in the order of `all`; all of them if none was.
    ///
    /// # Errors
    /// If one was asked for that there is not.
    pub fn chosen(all: Vec<View>, names: &[String]) -> Result<Vec<View>, UnknownView> {
        let known: Vec<String> = all.iter().map(View::name).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            return Err(UnknownView { name: name.clone(), known });
        }
        Ok(all.into_iter().filter(|view| names.is_empty() || names.contains(&view.name())).collect())
    }

    /// What projects it, one for each replica in a database: processes may share their sources. None for the search index,
    /// which each process has whole and opens by itself: [`crate::Search::projector`].
    pub fn projectors(&self) -> Vec<Arc<dyn Projector>> {
        match self {
            View::Mains(mains) => mains.projectors(),
            View::Shard(shards, name) => shards.projectors_of(name),
            View::Search(..) => Vec::new(),
        }
    }

    /// As the runner and people call it: `mains`, `shard s1`, `search`.
    pub fn name(&self) -> String {
        match self {
            View::Mains(_) => "mains".to_owned(),
            View::Shard(_, name) => format!("shard {name}"),
            View::Search(..) => "search".to_owned(),
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

/// One replica of a view.
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

    /// What people know it by: no credentials.
    pub fn name(&self) -> &str {
        on_kind!(self, replica => replica.name())
    }

    /// What it reads.
    pub fn sources(&self) -> Vec<TopicPartition> {
        on_kind!(self, replica => replica.sources())
    }

    /// How far it has come, durably, in each source; one that is missing has not begun.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, VerifyError> {
        on_kind!(self, replica => replica.positions().await)
    }

    /// The current generation: 0 until it was built anew.
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
    /// The fold is built in a folder under `scratch`, which is gone afterwards.
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

    /// Builds it anew from the log, beside the old one, and tells what differed in the old one. If it is to be switched,
    /// the new one becomes the current one and the old one is removed: readers and runners go over by themselves.
    /// One at a time: two would remove each other's.
    ///
    /// # Errors
    /// If the log or the replica does not answer; the old generation stays the current one then.
    pub async fn rebuild(&self, feed: &Feed<Event>, is_switched: bool) -> Result<Rebuilt, VerifyError> {
        on_kind!(self, replica => rebuild(feed, &self.view, replica, is_switched).await)
    }

    /// Makes the generation that a rebuild left built the current one, and removes the old one.
    ///
    /// # Errors
    /// [`VerifyError::NotBuilt`], or if the log or the replica does not answer.
    pub async fn switch(&self, feed: &Feed<Event>) -> Result<Switched, VerifyError> {
        on_kind!(self, replica => switch(feed, &self.view, replica).await)
    }

    /// Builds it beside itself from at most so many entries of the log, writes its rows a second time by inserts alone, and
    /// removes both: how fast it is built, and how fast its database takes the same rows. None of an index. As a rebuild,
    /// one at a time.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShardConfig;

    fn all() -> Vec<View> {
        let url = |name: &str| format!("sqlite:///nowhere/{name}.db");
        let shard = |name: &str, replicas: &[&str]| ShardConfig {
            name: name.to_owned(),
            replicas: replicas.iter().map(|replica| url(replica)).collect(),
        };
        let shards = Shards::new(4, &[shard("s1", &["a", "b"]), shard("s2", &["c"])]).unwrap();
        View::all(&Mains::new(&[url("m")]).unwrap(), &shards, Path::new("/nowhere/search"))
    }

    #[test]
    fn views_are_chosen_by_name() {
        let check = |asked: &[&str], expected: &[(&str, usize)]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            let chosen = View::chosen(all(), &asked).unwrap();
            let found: Vec<_> = chosen.iter().map(|view| (view.name(), view.projectors().len())).collect();
            let expected: Vec<_> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            assert_eq!(found, expected);
            for view in chosen {
                assert!(view.projectors().iter().all(|projector| projector.name() == view.name()));
            }
        };
        check(&[], &[("mains", 1), ("shard s1", 2), ("shard s2", 1), ("search", 0)]);
        check(&["search", "shard s2"], &[("shard s2", 1), ("search", 0)]);
    }

    #[test]
    fn an_unknown_one_is_refused_with_those_there_are() {
        let refused = View::chosen(all(), &["mains".to_owned(), "s1".to_owned()]).err().unwrap();
        assert_eq!(refused.to_string(), "there is no view \"s1\"; there are mains, shard s1, shard s2, search");
    }
}
