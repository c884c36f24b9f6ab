//! A replica of a view: a MySQL database or a SQLite file. It is opened at its first use, and follows the current
//! generation.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::{
    Cells, DbError, POSITIONS, Schema, Table, Tx,
    place::{Place, Pool},
    text, word,
};
use crate::fingerprint::{OtherSchema, Reported};

/// The time after which the current generation is looked up again. A generation that was replaced is kept longer than that.
const GENERATION_KNOWN: Duration = Duration::from_secs(1);

/// The notes on a view and on its generations, as names and values. Notes on the view (for example the current generation)
/// are in the first generation's database. Notes on a generation (its schema) are in that generation's own database.
static META: Table =
    Table { name: "meta", columns: &[word("name", 64), text("value")], key: 1, indexes: &[], pruned: true };

/// Notes on the view: the current generation, and a generation that is complete but not current yet.
const CURRENT: &str = "generation";
const BUILT: &str = "built";
/// Notes on a generation: the fingerprint of its schema, and the names of its tables, which may differ in another schema.
const SCHEMA: &str = "schema";
const TABLES: &str = "tables";

fn noted(name: &str, value: impl ToString) -> Cells {
    vec![name.into(), value.to_string().as_str().into()]
}

async fn note_of(tx: &mut Tx, name: &str) -> Result<Option<String>, DbError> {
    let rows = tx.select(&META, vec![vec![name.into()]]).await?;
    rows.first().map(|row| row[1].as_text().map(str::to_owned)).transpose()
}

/// A replica of a view. Cheap to clone. It is opened at its first use.
#[derive(Clone)]
pub struct Replica {
    inner: Arc<Inner>,
}

struct Inner {
    view: String,
    place: Place,
    name: String,
    schema: &'static Schema,
    /// Set on the replica that a rebuild builds or drops: it does not follow the switch.
    fixed: Option<u32>,
    current: RwLock<Option<Current>>,
    /// The generation that was last seen as current. Kept also when `current` is reset.
    seen: RwLock<Option<u32>>,
    /// Held while the replica is opened or its generation is looked up, so that one caller does it for all.
    opening: tokio::sync::Mutex<()>,
    reported: Reported,
}

#[derive(Clone)]
struct Current {
    generation: u32,
    pool: Pool,
    /// The pool of the first generation, where `meta` lies.
    base: Pool,
    /// Set if the generation has another schema.
    other: Option<OtherSchema>,
    checked: Instant,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replica({})", self.inner.name)
    }
}

impl Replica {
    /// Returns the replica of a view at `mysql://user@host:port/database` or `sqlite://path`. Its database and tables are
    /// created at its first use.
    pub(crate) fn open(view: &str, url: &str, schema: &'static Schema) -> Result<Replica, DbError> {
        Ok(Replica::at(view, Place::of(url)?, schema, None))
    }

    /// Returns an empty replica of a view, in this process's memory. It answers like a view that has applied nothing.
    pub(crate) fn empty(view: &str, schema: &'static Schema) -> Replica {
        Replica::at(view, Place::Memory, schema, None)
    }

    fn at(view: &str, place: Place, schema: &'static Schema, fixed: Option<u32>) -> Replica {
        let name = place.name();
        let name = fixed.map_or(name.clone(), |generation| format!("{name} (generation {generation})"));
        let (current, seen, opening) = (RwLock::default(), RwLock::default(), tokio::sync::Mutex::default());
        let (view, reported) = (view.to_owned(), Reported::default());
        Replica { inner: Arc::new(Inner { view, place, name, schema, fixed, current, seen, opening, reported }) }
    }

    /// The replica's name, without credentials.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Returns a replica at this replica's place that stays at the given generation.
    pub(crate) fn generation(&self, generation: u32) -> Replica {
        Replica::at(&self.inner.view, self.inner.place.clone(), self.inner.schema, Some(generation))
    }

    /// Returns the current generation: 0 until the first rebuild.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn current_generation(&self) -> Result<u32, DbError> {
        Ok(self.current().await?.generation)
    }

    /// Returns the generation that this process last saw as current; none if it saw none.
    pub(crate) fn seen_generation(&self) -> Option<u32> {
        *self.inner.seen.read()
    }

    /// A transaction for reading: everything it reads is of one moment.
    ///
    /// # Errors
    /// [`DbError::OtherSchema`], or if it does not answer.
    pub(crate) async fn read(&self) -> Result<Tx, DbError> {
        self.usable().await?.read(self.name()).await
    }

    /// A transaction for writing.
    ///
    /// # Errors
    /// [`DbError::OtherSchema`], or if it does not answer.
    pub(crate) async fn write(&self) -> Result<Tx, DbError> {
        self.usable().await?.write(self.name()).await
    }

    /// Returns the current generation's pool, or an error if it has another schema than this program.
    async fn usable(&self) -> Result<Pool, DbError> {
        let Current { pool, other, .. } = self.current().await?;
        other.map_or(Ok(pool), |other| Err(other.into()))
    }

    async fn begin(&self, pool: &Pool) -> Result<Tx, DbError> {
        pool.write(self.name()).await
    }

    /// Returns the generation that is complete but not current yet, if there is one.
    pub(crate) async fn built_generation(&self) -> Result<Option<u32>, DbError> {
        let base = self.current().await?.base;
        let mut tx = self.begin(&base).await?;
        note_of(&mut tx, BUILT).await?.map(|number| number.parse().map_err(DbError::broken)).transpose()
    }

    /// Records which generation is complete, or that none is.
    pub(crate) async fn mark_built(&self, generation: Option<u32>) -> Result<(), DbError> {
        let base = self.current().await?.base;
        let mut tx = self.begin(&base).await?;
        match generation {
            Some(generation) => tx.upsert(&META, vec![noted(BUILT, generation)]).await?,
            None => tx.delete(&META, vec![vec![BUILT.into()]]).await?,
        }
        tx.commit().await
    }

    /// Makes `generation` current, for every process, and clears the note of [`Replica::mark_built`]; in one transaction.
    pub(crate) async fn switch(&self, generation: u32) -> Result<(), DbError> {
        let base = self.current().await?.base;
        let mut tx = self.begin(&base).await?;
        tx.upsert(&META, vec![noted(CURRENT, generation)]).await?;
        tx.delete(&META, vec![vec![BUILT.into()]]).await?;
        tx.commit().await?;
        self.forget();
        Ok(())
    }

    /// True if the replica is open, so that the next query does not have to open it first.
    pub(crate) fn is_open(&self) -> bool {
        self.inner.current.read().is_some()
    }

    /// Closes the replica, so that its next use opens it again and notices a database that was dropped or restored.
    pub(crate) fn forget(&self) {
        *self.inner.current.write() = None;
    }

    /// Closes its connections; the next use opens new ones.
    pub(crate) async fn close(&self) {
        let current = self.inner.current.write().take();
        for pool in current.into_iter().flat_map(|current| [current.pool, current.base]) {
            pool.close().await;
        }
    }

    /// Drops the database of `generation`; of the first one the tables, for its `meta` says which is current.
    pub(crate) async fn drop_generation(&self, generation: u32) -> Result<(), DbError> {
        if generation > 0 {
            return self.inner.place.remove(self.name(), generation).await;
        }
        let base = self.current().await?.base;
        let mut tx = self.begin(&base).await?;
        let of_its_schema = note_of(&mut tx, TABLES).await?;
        tx.commit().await?;
        let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let mut names = self.inner.schema.table_names();
        names.extend(of_its_schema.iter().flat_map(|names| names.split(',')).filter(is_name).map(str::to_owned));
        for name in names {
            let mut tx = self.begin(&base).await?;
            tx.execute(format!("DROP TABLE IF EXISTS {name}"), Cells::new()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The current generation's pool, looked up again after a second.
    async fn current(&self) -> Result<Current, DbError> {
        if let Some(current) = self.known() {
            return Ok(current);
        }
        let _one = self.inner.opening.lock().await;
        if let Some(current) = self.known() {
            return Ok(current);
        }
        // One of another schema is opened anew each time: it may have been removed by hand, to be built here.
        let before = self.inner.current.read().clone().filter(|before| before.other.is_none());
        let base = match &before {
            Some(before) => before.base.clone(),
            None => {
                let base = self.connect(0).await?;
                self.make(&base, META.ddl(base.dialect())).await?;
                base
            }
        };
        let generation = match self.inner.fixed {
            Some(fixed) => fixed,
            None => self.marked_generation(&base).await?,
        };
        let (pool, other) = match before {
            Some(before) if before.generation == generation => (before.pool, None),
            _ => {
                let pool = self.connect(generation).await?;
                let other = self.prepare(&pool).await?;
                (pool, other)
            }
        };
        if other.is_none() {
            self.inner.reported.reset();
        }
        let current = Current { generation, pool, base, other, checked: Instant::now() };
        *self.inner.current.write() = Some(current.clone());
        *self.inner.seen.write() = Some(generation);
        Ok(current)
    }

    fn known(&self) -> Option<Current> {
        let current = self.inner.current.read();
        current.as_ref().filter(|current| current.checked.elapsed() < GENERATION_KNOWN).cloned()
    }

    async fn marked_generation(&self, base: &Pool) -> Result<u32, DbError> {
        let mut tx = base.read(self.name()).await?;
        note_of(&mut tx, CURRENT).await?.map_or(Ok(0), |number| number.parse().map_err(DbError::broken))
    }

    /// Creates the missing tables of a generation. If it has another schema, nothing is changed.
    ///
    /// The fingerprint is written before the first table is created. So even after a crash, a generation with tables and
    /// without a fingerprint was made by a version that wrote none.
    async fn prepare(&self, pool: &Pool) -> Result<Option<OtherSchema>, DbError> {
        let Inner { view, name, schema, reported, .. } = &*self.inner;
        self.make(pool, META.ddl(pool.dialect())).await?;
        let wanted = schema.fingerprint(pool.dialect());
        // The two queries run in this order, each in its own transaction. The fingerprint is written before the tables are
        // created: a snapshot that is taken after the tables were seen has the fingerprint.
        let has_tables = self.has_tables(pool).await?;
        let mut found = self.noted_schema(pool).await?;
        if found.is_none() && !has_tables {
            let tables = schema.table_names().join(",");
            let mut tx = self.begin(pool).await?;
            tx.insert_new(&META, vec![noted(SCHEMA, &wanted), noted(TABLES, tables)]).await?;
            tx.commit().await?;
            // If two versions do this at the same time, the first one wins.
            found = self.noted_schema(pool).await?;
        }
        if found.as_ref() == Some(&wanted) {
            self.make(pool, schema.ddl(pool.dialect())).await?;
            return Ok(None);
        }
        let (view, replica, reported) = (view.clone(), name.clone(), reported.clone());
        Ok(Some(OtherSchema { view, replica, found, wanted, reported }))
    }

    /// Whether a generation has its tables. Takes no lock: a reader must not wait for a writer that holds one.
    async fn has_tables(&self, pool: &Pool) -> Result<bool, DbError> {
        let mut tx = pool.read(self.name()).await?;
        let has_tables = tx.has_table(POSITIONS.name).await?;
        tx.commit().await?;
        Ok(has_tables)
    }

    /// Returns the fingerprint that a generation was made with, if one is noted. Takes no lock.
    async fn noted_schema(&self, pool: &Pool) -> Result<Option<String>, DbError> {
        let mut tx = pool.read(self.name()).await?;
        let noted = note_of(&mut tx, SCHEMA).await?;
        tx.commit().await?;
        Ok(noted)
    }

    async fn connect(&self, generation: u32) -> Result<Pool, DbError> {
        self.inner.place.connect(self.name(), generation).await
    }

    /// Makes tables where they are missing.
    async fn make(&self, pool: &Pool, ddl: Vec<String>) -> Result<(), DbError> {
        for statement in ddl {
            pool.execute(self.name(), statement).await?;
        }
        Ok(())
    }
}
