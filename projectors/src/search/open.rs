//! The index that is open in this process: the current generation, gone over from when another one becomes it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use teamlog_log::{Position, TopicPartition};
use tracing::info;

use super::{Generations, SearchError, index::SearchIndex};

/// How old the knowledge of the current generation may be. A generation that was switched off is kept longer.
const KNOWN: Duration = Duration::from_secs(1);

/// An open index.
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
    index: Arc<SearchIndex>,
    looked: Instant,
}

impl OpenIndex {
    /// The current generation in a directory, made if there is none. Blocks, as all of this but [`OpenIndex::current`].
    pub(crate) fn open(dir: &Path) -> Result<OpenIndex, SearchError> {
        let generations = Generations::new(dir);
        let generation = generations.current()?;
        let path = generations.path(generation);
        OpenIndex::at(Some(generations), generation, path)
    }

    /// One that stays as it is, if there is one.
    pub(crate) fn existing(path: PathBuf) -> Result<Option<OpenIndex>, SearchError> {
        if SearchIndex::is_there(&path) { OpenIndex::fixed(path).map(Some) } else { Ok(None) }
    }

    /// How far it was committed.
    pub(crate) fn positions(&self) -> HashMap<TopicPartition, Position> {
        self.known().committed().positions.clone()
    }

    /// One that stays as it is, made if it is not there.
    pub(crate) fn fixed(path: PathBuf) -> Result<OpenIndex, SearchError> {
        OpenIndex::at(None, 0, path)
    }

    fn at(generations: Option<Generations>, generation: u32, path: PathBuf) -> Result<OpenIndex, SearchError> {
        let index = Arc::new(SearchIndex::open(&path)?);
        let now = RwLock::new(Now { generation, index, looked: Instant::now() });
        Ok(OpenIndex { generations, now, looking: Mutex::default() })
    }

    /// What is open, as it was last looked for.
    pub(super) fn known(&self) -> Arc<SearchIndex> {
        self.now.read().index.clone()
    }

    /// What is open and its generation, looked for a second ago at most.
    pub(super) fn recent(&self) -> Result<Arc<SearchIndex>, SearchError> {
        let now = self.now.read().clone();
        if now.looked.elapsed() < KNOWN { Ok(now.index) } else { Ok(self.look()?.1) }
    }

    /// What is open and its generation, as of now.
    pub(super) fn look(&self) -> Result<(u32, Arc<SearchIndex>), SearchError> {
        let _one = self.looking.lock();
        let mut now = self.now.read().clone();
        if let Some(generations) = &self.generations {
            let generation = generations.current()?;
            if generation != now.generation {
                let index = Arc::new(SearchIndex::open(&generations.path(generation))?);
                info!(dir = %generations.dir().display(), generation, "the search index is another one now");
                now = Now { generation, index, looked: Instant::now() };
            }
        }
        now.looked = Instant::now();
        *self.now.write() = now.clone();
        Ok((now.generation, now.index))
    }

    /// What is open, looked for a second ago at most, without blocking.
    pub(super) async fn current(self: &Arc<Self>) -> Result<Arc<SearchIndex>, SearchError> {
        let now = self.now.read().clone();
        if now.looked.elapsed() < KNOWN {
            return Ok(now.index);
        }
        let open = self.clone();
        let looked = tokio::task::spawn_blocking(move || open.recent()).await;
        looked.unwrap_or_else(|why| Err(now.index.wrong(&why)))
    }
}
