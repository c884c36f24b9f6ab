//! The index that is open in this process. It follows the current generation.

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

/// The time after which the current generation is looked up again. A generation that was replaced is kept longer than that.
const KNOWN: Duration = Duration::from_secs(1);

/// An open index, or the fact that the current generation has another schema.
pub(crate) struct OpenIndex {
    /// None for an index that follows no switch: a generation that is being built, or a fold beside it.
    generations: Option<Generations>,
    now: RwLock<Now>,
    /// Held while the current generation is looked up, so that one caller does it at a time.
    looking: Mutex<()>,
}

#[derive(Clone)]
struct Now {
    generation: u32,
    index: Result<Arc<SearchIndex>, OtherSchema>,
    looked: Instant,
}

impl OpenIndex {
    /// Opens the current generation in a directory, and creates it if there is none. Blocks, as all methods except
    /// [`OpenIndex::current`].
    pub(crate) fn open(dir: &Path) -> Result<OpenIndex, SearchError> {
        let generations = Generations::new(dir);
        let generation = generations.current()?;
        let index = open_or_other(&generations.path(generation))?;
        Ok(OpenIndex::of(Some(generations), generation, index))
    }

    /// Opens the index at `path`, if there is one. It follows no switch.
    pub(crate) fn existing(path: &Path) -> Result<Option<OpenIndex>, SearchError> {
        if SearchIndex::is_there(path) { OpenIndex::fixed(path).map(Some) } else { Ok(None) }
    }

    /// The committed positions. Empty if the index has another schema.
    pub(crate) fn positions(&self) -> HashMap<TopicPartition, Position> {
        self.known().map(|index| index.committed().positions.clone()).unwrap_or_default()
    }

    /// Opens the index at `path`, and creates it if there is none. It follows no switch.
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

    /// Returns the index that was current at the last lookup.
    pub(super) fn known(&self) -> Result<Arc<SearchIndex>, SearchError> {
        Ok(self.now.read().index.clone()?)
    }

    /// Returns the index that was current at most [`KNOWN`] ago. Looks up the current generation if needed.
    pub(super) fn recent(&self) -> Result<Arc<SearchIndex>, SearchError> {
        let now = self.now.read().clone();
        if now.looked.elapsed() >= KNOWN {
            self.look()?;
        }
        self.known()
    }

    /// Looks up the current generation, switches to it, and returns its number.
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
                // An operator removed it, so that it is built again here.
                now.index = open_or_other(&path)?;
            }
        }
        now.looked = Instant::now();
        *self.now.write() = now.clone();
        Ok(now.generation)
    }

    /// Returns the index that was current at most [`KNOWN`] ago, without blocking the executor.
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

/// Opens an index. Another schema is a result here, not an error.
fn open_or_other(path: &Path) -> Result<Result<Arc<SearchIndex>, OtherSchema>, SearchError> {
    match SearchIndex::open(path) {
        Ok(index) => Ok(Ok(Arc::new(index))),
        Err(SearchError::OtherSchema(other)) => Ok(Err(other)),
        Err(why) => Err(why),
    }
}
