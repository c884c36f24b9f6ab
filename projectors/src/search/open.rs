//! The index that is open in this process: the current generation, gone over from when another one becomes it.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use teamlog_log::{Position, TopicPartition};
use tracing::info;

use super::{Generations, SearchError, index::SearchIndex};
use crate::fingerprint::OtherSchema;

/// How old the knowledge of the current generation may be. A generation that was switched off is kept longer.
const KNOWN: Duration = Duration::from_secs(1);

/// An open index, or the current generation's other schema.
pub(crate) struct OpenIndex {
    /// None for one that stays as it is: a generation that is being built, or a fold beside it.
    generations: Option<Generations>,
    now: RwLock<Now>,
    /// Held by who looks.
    looking: Mutex<()>,
}

#[derive(Clone)]
struct Now {
    generation: u32,
    index: Result<Arc<SearchIndex>, OtherSchema>,
    looked: Instant,
}

impl OpenIndex {
    /// The current generation in a directory, made if there is none. Blocks, as all of this but [`OpenIndex::current`].
    pub(crate) fn open(dir: &Path) -> Result<OpenIndex, SearchError> {
        let generations = Generations::new(dir);
        let generation = generations.current()?;
        let index = open_or_other(&generations.path(generation))?;
        Ok(OpenIndex::of(Some(generations), generation, index))
    }

    /// One that stays as it is, if there is one.
    pub(crate) fn existing(path: &Path) -> Result<Option<OpenIndex>, SearchError> {
        if SearchIndex::is_there(path) { OpenIndex::fixed(path).map(Some) } else { Ok(None) }
    }

    /// How far it was committed.
    pub(crate) fn positions(&self) -> HashMap<TopicPartition, Position> {
        self.known().map(|index| index.committed().positions.clone()).unwrap_or_default()
    }

    /// One that stays as it is, made if it is not there.
    pub(crate) fn fixed(path: &Path) -> Result<OpenIndex, SearchError> {
        Ok(OpenIndex::of(None, 0, Ok(Arc::new(SearchIndex::open(path)?))))
    }

    fn of(
        generations: Option<Generations>,
        generation: u32,
        index: Result<Arc<SearchIndex>, OtherSchema>,
    ) -> OpenIndex {
        let now = RwLock::new(Now { generation, index, looked: Instant::now() });
        OpenIndex { generations, now, looking: Mutex::default() }
    }

    /// What is open, as it was last looked for.
    pub(super) fn known(&self) -> Result<Arc<SearchIndex>, SearchError> {
        Ok(self.now.read().index.clone()?)
    }

    /// What is open, looked for a second ago at most.
    pub(super) fn recent(&self) -> Result<Arc<SearchIndex>, SearchError> {
        let now = self.now.read().clone();
        if now.looked.elapsed() >= KNOWN {
            self.look()?;
        }
        self.known()
    }

    /// Looks for the current generation, goes over to it, and returns which one it is.
    pub(super) fn look(&self) -> Result<u32, SearchError> {
        let _one = self.looking.lock();
        let mut now = self.now.read().clone();
        if let Some(generations) = &self.generations {
            let generation = generations.current()?;
            let path = generations.path(generation);
            if generation != now.generation {
                let index = open_or_other(&path)?;
                info!(dir = %generations.dir().display(), generation, "the search index is another one now");
                now = Now { generation, index, looked: Instant::now() };
            } else if now.index.is_err() && !SearchIndex::is_there(&path) {
                // It was removed by hand, to be built here.
                now.index = open_or_other(&path)?;
            }
        }
        now.looked = Instant::now();
        *self.now.write() = now.clone();
        Ok(now.generation)
    }

    /// What is open, looked for a second ago at most, without blocking.
    pub(super) async fn current(self: &Arc<Self>) -> Result<Arc<SearchIndex>, SearchError> {
        let now = self.now.read().clone();
        if now.looked.elapsed() < KNOWN {
            return Ok(now.index?);
        }
        let open = self.clone();
        let looked = tokio::task::spawn_blocking(move || open.recent()).await;
        looked.unwrap_or_else(|why| {
            let dir = self.generations.as_ref().map(|all| all.dir().display().to_string()).unwrap_or_default();
            Err(SearchError::Index { dir, why: why.to_string() })
        })
    }
}

/// That an index is of another schema is something to go on with.
fn open_or_other(path: &Path) -> Result<Result<Arc<SearchIndex>, OtherSchema>, SearchError> {
    match SearchIndex::open(path) {
        Ok(index) => Ok(Ok(Arc::new(index))),
        Err(SearchError::OtherSchema(other)) => Ok(Err(other)),
        Err(why) => Err(why),
    }
}
