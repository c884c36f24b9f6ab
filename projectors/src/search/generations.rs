//! The generations of an index, side by side in one directory, and which of them is current.
//!
//! ```text
//!   v1           the first generation
//!   v1.g7        a later one, rebuilt
//!   v1.current   which one is read and written to; while it is not there, the first
//!   v1.built     one that is complete but not current yet
//! ```

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use super::SearchError;

/// The prefix of all generations' names. It does not identify the schema: the fingerprint in each generation does.
const PREFIX: &str = "v1";

/// An index's directory.
#[derive(Clone, Debug)]
pub(crate) struct Generations {
    dir: PathBuf,
}

impl Generations {
    pub(crate) fn new(dir: &Path) -> Generations {
        Generations { dir: dir.to_owned() }
    }

    /// The directory of all generations.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a generation.
    pub(crate) fn path(&self, generation: u32) -> PathBuf {
        self.dir.join(if generation == 0 { PREFIX.to_owned() } else { format!("{PREFIX}.g{generation}") })
    }

    /// Returns the current generation.
    pub(crate) fn current(&self) -> Result<u32, SearchError> {
        Ok(self.read("current")?.unwrap_or(0))
    }

    /// Returns the generation that is complete but not current yet, if there is one.
    pub(crate) fn built(&self) -> Result<Option<u32>, SearchError> {
        self.read("built")
    }

    /// Records which generation is complete, or that none is.
    pub(crate) fn mark_built(&self, generation: Option<u32>) -> Result<(), SearchError> {
        match generation {
            Some(generation) => self.write("built", generation),
            None => self.done(removed(fs::remove_file(self.file("built")))),
        }
    }

    /// Makes a generation current, for every process. After a crash either the old or the new one is current.
    pub(crate) fn switch(&self, generation: u32) -> Result<(), SearchError> {
        self.write("current", generation)?;
        self.mark_built(None)
    }

    /// Removes a generation. Succeeds if it does not exist.
    pub(crate) fn remove(&self, generation: u32) -> Result<(), SearchError> {
        self.done(removed(fs::remove_dir_all(self.path(generation))))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{PREFIX}.{name}"))
    }

    fn done<T>(&self, done: io::Result<T>) -> Result<T, SearchError> {
        done.map_err(|why| SearchError::Index { dir: self.dir.display().to_string(), why: why.to_string() })
    }

    fn read(&self, name: &str) -> Result<Option<u32>, SearchError> {
        let text = match fs::read_to_string(self.file(name)) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            text => self.done(text)?,
        };
        let number = text.trim().parse().map_err(|_| io::Error::other(format!("{PREFIX}.{name} holds no number")));
        self.done(number).map(Some)
    }

    fn write(&self, name: &str, generation: u32) -> Result<(), SearchError> {
        let write = || {
            fs::create_dir_all(&self.dir)?;
            let new = self.file(&format!("{name}.new"));
            let mut file = File::create(&new)?;
            writeln!(file, "{generation}")?;
            file.sync_all()?;
            fs::rename(&new, self.file(name))?;
            File::open(&self.dir)?.sync_all()
        };
        self.done(write())
    }
}

/// Turns the error that a removed file did not exist into success.
fn removed(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
