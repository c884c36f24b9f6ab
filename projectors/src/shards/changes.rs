//! How a batch changes the rows of one table: read first, last one wins, or first one wins.
//!
//! A table is a [`Row`] and its rule (`Folded`) in a file under `tables/`, and a line in `tables/mod.rs` that says which of
//! these three holds its rows while a batch is folded. No I/O but [`Changes::read`] and [`Changes::write`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
};

use teamlog_schemas::{Event, TeamId};

use crate::db::{Cell, Cells, DbError, Table, Tx};

/// A row of a table, apart from its key.
pub(super) trait Row: Sized + Send {
    const TABLE: Table;
    type Key: Copy + Eq + Hash + Ord + Send;
    /// The key's columns, in the table's order.
    fn key_cells(key: Self::Key) -> Cells;
    /// The columns after the key, in the table's order.
    fn values(&self) -> Cells;
}

/// A row that must be read before an event changes it.
pub(super) trait ReadFirst: Row {
    /// Returns the rows that an event of a team changes, or whose change depends on them.
    fn wanted(team: TeamId, event: &Event) -> Vec<Self::Key>;
    /// Parses a row of all columns, in the table's order.
    fn parse(row: &[Cell]) -> Result<(Self::Key, Self), DbError>;
}

/// The rows of one table while a batch is folded.
pub(super) trait Changes: Default + Send {
    /// Notes which rows an event needs to have been read.
    fn want(&mut self, team: TeamId, event: &Event);
    /// Reads what is wanted.
    fn read(&mut self, tx: &mut Tx) -> impl Future<Output = Result<(), DbError>> + Send;
    /// Writes what changed, in the order of the keys: two writers of one table do not lock each other out.
    fn write(self, tx: &mut Tx) -> impl Future<Output = Result<(), DbError>> + Send;
}

/// Rows that are read, changed and written back.
pub(super) struct Found<R: Row> {
    wanted: BTreeSet<R::Key>,
    found: HashMap<R::Key, R>,
    dirty: BTreeSet<R::Key>,
    gone: BTreeSet<R::Key>,
}

impl<R: Row> Default for Found<R> {
    fn default() -> Self {
        Found { wanted: BTreeSet::new(), found: HashMap::new(), dirty: BTreeSet::new(), gone: BTreeSet::new() }
    }
}

impl<R: Row> Found<R> {
    /// Reserves room for this many rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.found.reserve(rows);
    }

    pub(super) fn get(&self, key: R::Key) -> Option<&R> {
        self.found.get(&key)
    }

    pub(super) fn has(&self, key: R::Key) -> bool {
        self.found.contains_key(&key)
    }

    pub(super) fn put(&mut self, key: R::Key, row: R) {
        self.found.insert(key, row);
        self.gone.remove(&key);
        self.dirty.insert(key);
    }

    pub(super) fn remove(&mut self, key: R::Key) {
        self.found.remove(&key);
        self.dirty.remove(&key);
        self.gone.insert(key);
    }

    /// Changes a row, if it exists, and returns what `change` returned.
    pub(super) fn change<T>(&mut self, key: R::Key, change: impl FnOnce(&mut R) -> T) -> Option<T> {
        let changed = change(self.found.get_mut(&key)?);
        self.dirty.insert(key);
        Some(changed)
    }
}

impl<R: ReadFirst> Changes for Found<R> {
    fn want(&mut self, team: TeamId, event: &Event) {
        self.wanted.extend(R::wanted(team, event));
    }

    async fn read(&mut self, tx: &mut Tx) -> Result<(), DbError> {
        let keys = self.wanted.iter().map(|key| R::key_cells(*key)).collect();
        for row in tx.select(&R::TABLE, keys).await? {
            let (key, row) = R::parse(&row)?;
            self.found.insert(key, row);
        }
        Ok(())
    }

    async fn write(self, tx: &mut Tx) -> Result<(), DbError> {
        let Found { found, dirty, gone, .. } = self;
        tx.delete(&R::TABLE, gone.into_iter().map(R::key_cells).collect()).await?;
        tx.upsert(&R::TABLE, dirty.into_iter().filter_map(move |key| Some(cells(key, found.get(&key)?)))).await
    }
}

/// Rows of which the last one of a key wins; none deletes it.
pub(super) struct LastWins<R: Row>(BTreeMap<R::Key, Option<R>>);

impl<R: Row> Default for LastWins<R> {
    fn default() -> Self {
        LastWins(BTreeMap::new())
    }
}

impl<R: Row> LastWins<R> {
    pub(super) fn set(&mut self, key: R::Key, row: Option<R>) {
        self.0.insert(key, row);
    }
}

impl<R: Row> Changes for LastWins<R> {
    fn want(&mut self, _: TeamId, _: &Event) {}

    async fn read(&mut self, _: &mut Tx) -> Result<(), DbError> {
        Ok(())
    }

    async fn write(self, tx: &mut Tx) -> Result<(), DbError> {
        let gone = self.0.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| R::key_cells(*key)).collect();
        tx.delete(&R::TABLE, gone).await?;
        tx.upsert(&R::TABLE, self.0.into_iter().filter_map(|(key, row)| Some(cells(key, &row?)))).await
    }
}

/// Rows of which the first one of a key stays for ever.
pub(super) struct FirstWins<R: Row>(BTreeMap<R::Key, R>);

impl<R: Row> Default for FirstWins<R> {
    fn default() -> Self {
        FirstWins(BTreeMap::new())
    }
}

impl<R: Row> FirstWins<R> {
    pub(super) fn add(&mut self, key: R::Key, row: R) {
        self.0.entry(key).or_insert(row);
    }
}

impl<R: Row> Changes for FirstWins<R> {
    fn want(&mut self, _: TeamId, _: &Event) {}

    async fn read(&mut self, _: &mut Tx) -> Result<(), DbError> {
        Ok(())
    }

    async fn write(self, tx: &mut Tx) -> Result<(), DbError> {
        tx.insert_new(&R::TABLE, self.0.into_iter().map(|(key, row)| cells(key, &row))).await
    }
}

fn cells<R: Row>(key: R::Key, row: &R) -> Cells {
    let mut cells = R::key_cells(key);
    cells.extend(row.values());
    cells
}
