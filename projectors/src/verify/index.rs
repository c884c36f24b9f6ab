//! The search index of this machine.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use teamlog_log::{Feed, Partition, Position, TopicPartition};
use teamlog_schemas::Event;

use super::{
    Difference, OneTeam, Verified, VerifyError,
    catch_up::catch_up,
    compare::Comparison,
    rebuildable::{Fold, Rebuildable, of_team},
};
use crate::{
    projector::Projector,
    search::{Generations, OpenIndex, SearchError, SearchProjector, compare},
};

/// The index in a directory.
#[derive(Clone)]
pub(crate) struct IndexReplica {
    name: String,
    generations: Generations,
    partitions: u32,
}

/// A generation, or an index beside the generations.
pub(crate) struct IndexFold {
    open: Arc<OpenIndex>,
    projector: SearchProjector,
}

/// Work on files, off the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SearchError> + Send + 'static,
) -> Result<T, VerifyError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|why| std::io::Error::other(why.to_string()))?;
    Ok(done?)
}

impl IndexReplica {
    pub(crate) fn new(dir: &Path, partitions: u32) -> IndexReplica {
        IndexReplica { name: dir.display().to_string(), generations: Generations::new(dir), partitions }
    }

    async fn built_on(&self, path: &Path, team: Option<OneTeam>) -> Result<IndexFold, VerifyError> {
        let path = path.to_owned();
        let open = Arc::new(blocking(move || OpenIndex::fixed(&path)).await?);
        let partitions: Vec<Partition> = match team {
            Some(team) => vec![team.partition],
            None => (0..self.partitions).map(Partition).collect(),
        };
        let projector = SearchProjector::new(open.clone(), self.name.clone(), partitions);
        Ok(IndexFold { open, projector })
    }
}

impl Fold for IndexFold {
    fn projector(&self) -> &dyn Projector {
        &self.projector
    }

    async fn close(self) -> Result<(), VerifyError> {
        self.projector.commit().await?;
        // The files are closed, and the next writer can take the lock.
        blocking(move || {
            drop(self);
            Ok(())
        })
        .await
    }
}

impl Rebuildable for IndexReplica {
    type Fold = IndexFold;

    fn name(&self) -> &str {
        &self.name
    }

    fn sources(&self) -> Vec<TopicPartition> {
        (0..self.partitions).map(|number| TopicPartition::events(Partition(number))).collect()
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, VerifyError> {
        let generations = self.generations.clone();
        let existing = blocking(move || OpenIndex::existing(&generations.path(generations.current()?))).await?;
        Ok(existing.map(|index| index.positions()).unwrap_or_default())
    }

    async fn current(&self) -> Result<u32, VerifyError> {
        let generations = self.generations.clone();
        blocking(move || generations.current()).await
    }

    async fn built(&self) -> Result<Option<u32>, VerifyError> {
        let generations = self.generations.clone();
        blocking(move || generations.built()).await
    }

    async fn mark_built(&self, generation: Option<u32>) -> Result<(), VerifyError> {
        let generations = self.generations.clone();
        blocking(move || generations.mark_built(generation)).await
    }

    async fn switch(&self, generation: u32) -> Result<(), VerifyError> {
        let generations = self.generations.clone();
        blocking(move || generations.switch(generation)).await
    }

    async fn remove(&self, generation: u32) -> Result<(), VerifyError> {
        let generations = self.generations.clone();
        blocking(move || generations.remove(generation)).await
    }

    async fn open(&self, generation: u32) -> Result<IndexFold, VerifyError> {
        self.built_on(&self.generations.path(generation), None).await
    }

    async fn fold(&self, folder: &Path, team: Option<OneTeam>) -> Result<IndexFold, VerifyError> {
        self.built_on(&folder.join("fold"), team).await
    }

    /// Compares with the last commit at the time of the call: the index opened here does not see later commits.
    async fn compare(
        &self,
        feed: &Feed<Event>,
        fold: &IndexFold,
        team: Option<OneTeam>,
    ) -> Result<Verified, VerifyError> {
        let mut comparison = Comparison::new(team.map(|team| team.team), HashSet::new());
        let generations = self.generations.clone();
        let found = match blocking(move || OpenIndex::existing(&generations.path(generations.current()?))).await {
            Ok(Some(found)) => found,
            // Nothing was ever written to the index.
            Ok(None) => return Ok(comparison.done(Default::default())),
            Err(VerifyError::Search(SearchError::Index { dir, why })) => {
                let (expected, found) = (Some("an index".to_owned()), Some(why));
                comparison.tell(Difference { table: "index", key: dir, expected, found });
                return Ok(comparison.done(Default::default()));
            }
            Err(why) => return Err(why),
        };
        let exactly = of_team(found.positions(), team);
        catch_up(feed, &fold.projector, exactly.iter().map(|(source, position)| (*source, position.offset))).await?;
        fold.projector.commit().await?;
        let folded = fold.projector.positions().await?;
        for (source, position) in &exactly {
            comparison.positions(*source, *position, folded.get(source).copied().unwrap_or(Position::START));
        }
        let (expected, team) = (fold.open.clone(), team.map(|team| team.team));
        let compared = move || compare(&expected, &found, team, &mut comparison).map(|()| comparison);
        Ok(blocking(compared).await?.done(exactly))
    }
}
