//! A transaction on either database.

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use sqlx::{AssertSqlSafe, MySql, Sqlite, Transaction};

use super::{
    Cell, Cells, Conflict, DbError, Dialect, Table,
    cell::{of_mysql, of_sqlite},
};

/// Rows of the statements that write them, largest first: with a few texts a table, each is prepared once a connection.
/// 512 rows of the widest table bind 5,632 values; SQLite takes 32,766, MySQL 65,535.
const ROWS: [usize; 6] = [512, 128, 32, 8, 2, 1];
/// Keys of the statements that look rows up or delete them, smallest first. SQLite's expressions are at most 1,000 deep.
const KEYS: [usize; 4] = [1, 8, 32, KEYS_MAX];
/// Keys of one statement at most.
const KEYS_MAX: usize = 128;
/// Bytes bound in one statement of several rows; MySQL's `max_allowed_packet` is 16 MB by default.
const BOUND_BYTES_MAX: usize = 4 << 20;

enum Inner {
    MySql(Transaction<'static, MySql>),
    Sqlite(Transaction<'static, Sqlite>),
}

/// Rolled back when dropped.
pub(crate) struct Tx {
    inner: Inner,
    replica: String,
}

macro_rules! bound {
    ($sql:expr, $args:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql)).persistent(true);
        for cell in $args {
            query = match cell {
                Cell::Null => query.bind(None::<i64>),
                Cell::Int(number) => query.bind(number),
                Cell::Text(text) => query.bind(text),
                Cell::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }};
}

impl Tx {
    pub(super) fn mysql(tx: Transaction<'static, MySql>, replica: &str) -> Tx {
        Tx { inner: Inner::MySql(tx), replica: replica.to_owned() }
    }

    pub(super) fn sqlite(tx: Transaction<'static, Sqlite>, replica: &str) -> Tx {
        Tx { inner: Inner::Sqlite(tx), replica: replica.to_owned() }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::MySql(_) => Dialect::MySql,
            Inner::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Runs one statement and says how many rows it found (or, on SQLite, changed). It stays prepared, as every other one
    /// here: a text comes again, or is one of few.
    pub(crate) async fn execute(&mut self, sql: impl Into<String>, args: Cells) -> Result<u64, DbError> {
        let sql = sql.into();
        let done = match &mut self.inner {
            Inner::MySql(tx) => bound!(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
            Inner::Sqlite(tx) => bound!(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
        };
        done.map_err(|error| DbError::driver(&self.replica, &error))
    }

    /// Whether there is a table of this name.
    pub(crate) async fn has_table(&mut self, name: &str) -> Result<bool, DbError> {
        let sql = match self.dialect() {
            Dialect::MySql => {
                "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?"
            }
            Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
        };
        Ok(!self.rows(sql, vec![name.into()]).await?.is_empty())
    }

    /// All rows of a query.
    pub(crate) async fn rows(&mut self, sql: impl Into<String>, args: Cells) -> Result<Vec<Cells>, DbError> {
        let (sql, replica) = (sql.into(), self.replica.clone());
        let away = |error: sqlx::Error| DbError::driver(&replica, &error);
        match &mut self.inner {
            Inner::MySql(tx) => {
                let rows = bound!(sql, args).fetch_all(&mut **tx).await.map_err(away)?;
                rows.iter().map(|row| of_mysql(row).map_err(DbError::broken)).collect()
            }
            Inner::Sqlite(tx) => {
                let rows = bound!(sql, args).fetch_all(&mut **tx).await.map_err(away)?;
                rows.iter().map(|row| of_sqlite(row).map_err(DbError::broken)).collect()
            }
        }
    }

    /// The rows of a query one by one, however many.
    pub(crate) fn stream(&mut self, sql: String, args: Cells) -> BoxStream<'_, Result<Cells, DbError>> {
        let replica = self.replica.clone();
        let away = move |error: sqlx::Error| DbError::driver(&replica, &error);
        match &mut self.inner {
            Inner::MySql(tx) => bound!(sql, args)
                .fetch(&mut **tx)
                .map_err(away)
                .map(|row| row.and_then(|row| of_mysql(&row).map_err(DbError::broken)))
                .boxed(),
            Inner::Sqlite(tx) => bound!(sql, args)
                .fetch(&mut **tx)
                .map_err(away)
                .map(|row| row.and_then(|row| of_sqlite(&row).map_err(DbError::broken)))
                .boxed(),
        }
    }

    /// Inserts rows, or replaces those whose key is there.
    pub(crate) async fn upsert(&mut self, table: &Table, rows: impl RowIter) -> Result<(), DbError> {
        self.insert(table, rows, Conflict::Replace).await
    }

    /// Inserts the rows whose key is not there yet.
    pub(crate) async fn insert_new(&mut self, table: &Table, rows: impl RowIter) -> Result<(), DbError> {
        self.insert(table, rows, Conflict::Keep).await
    }

    /// Inserts rows of which no key is there yet: as fast as the database takes them.
    pub(crate) async fn append(&mut self, table: &Table, rows: impl RowIter) -> Result<(), DbError> {
        self.insert(table, rows, Conflict::Fail).await
    }

    /// While the database takes one statement, the next one's rows are made.
    async fn insert(&mut self, table: &Table, rows: impl RowIter, conflict: Conflict) -> Result<(), DbError> {
        let mut cut = Cut { rows: rows.into_iter(), taken: Vec::new() };
        let mut next = cut.next();
        while let Some((count, cells)) = next {
            let sql = table.insert(self.dialect(), count, conflict);
            let (done, made) = tokio::join!(biased; self.execute(sql, cells), async { cut.next() });
            done?;
            next = made;
        }
        Ok(())
    }

    /// The rows of these keys, in no order.
    pub(crate) async fn select(&mut self, table: &Table, keys: Vec<Cells>) -> Result<Vec<Cells>, DbError> {
        let mut found = Vec::new();
        for keys in keys.chunks(KEYS_MAX).map(filled) {
            let sql = format!("SELECT {} FROM {} WHERE {}", table.names(), table.name, table.keyed(keys.len()));
            found.extend(self.rows(sql, keys.concat()).await?);
        }
        Ok(found)
    }

    /// Deletes the rows of these keys.
    pub(crate) async fn delete(&mut self, table: &Table, keys: Vec<Cells>) -> Result<(), DbError> {
        for keys in keys.chunks(KEYS_MAX).map(filled) {
            let sql = format!("DELETE FROM {} WHERE {}", table.name, table.keyed(keys.len()));
            self.execute(sql, keys.concat()).await?;
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), DbError> {
        let done = match self.inner {
            Inner::MySql(tx) => tx.commit().await,
            Inner::Sqlite(tx) => tx.commit().await,
        };
        done.map_err(|error| DbError::driver(&self.replica, &error))
    }
}

/// An iterator that makes rows one by one.
pub(crate) trait RowIter: IntoIterator<Item = Cells, IntoIter: Send> + Send {}
impl<T: IntoIterator<Item = Cells, IntoIter: Send> + Send> RowIter for T {}

/// An iterator over the statements that write some rows: for each statement, its number of rows and their cells.
struct Cut<I> {
    rows: I,
    /// Rows that were taken from `rows` and are in no statement yet: at most as many as one statement has.
    taken: Vec<Cells>,
}

impl<I: Iterator<Item = Cells>> Iterator for Cut<I> {
    type Item = (usize, Cells);

    fn next(&mut self) -> Option<(usize, Cells)> {
        self.taken.extend(self.rows.by_ref().take(ROWS[0] - self.taken.len()));
        let count = next_rows(&self.taken)?;
        Some((count, self.taken.drain(..count).flatten().collect()))
    }
}

/// Returns how many of these rows the next statement takes, bounded by rows and by bytes. None if no row is left.
fn next_rows(rows: &[Cells]) -> Option<usize> {
    let fits = |count: usize| {
        let bytes = || rows[..count].iter().flatten().map(size).sum::<usize>();
        count <= rows.len() && (count == 1 || bytes() <= BOUND_BYTES_MAX)
    };
    ROWS.into_iter().find(|count| fits(*count))
}

/// These keys, the last one as often as it takes to be as many as a statement has.
fn filled(keys: &[Cells]) -> Vec<&[Cell]> {
    let Some(last) = keys.last() else { return Vec::new() };
    let size = KEYS.into_iter().find(|size| *size >= keys.len()).unwrap_or(keys.len());
    keys.iter().chain(std::iter::repeat(last)).take(size).map(Vec::as_slice).collect()
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Null | Cell::Int(_) => 9,
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;
    use crate::db::{Replica, Schema, int, optional, text};

    const NUMBERS: Table = Table {
        name: "numbers",
        columns: &[int("batch"), int("number"), optional(text("word"))],
        key: 2,
        indexes: &[],
        pruned: false,
    };
    static SCHEMA: Schema = Schema { tables: &[NUMBERS], rows_version: 1 };
    const BATCH_MAX: usize = 600;

    /// The statements of a batch of so many small rows.
    fn cut(count: usize) -> Vec<usize> {
        let rows = std::iter::repeat_n(vec![Cell::Int(1)], count);
        Cut { rows, taken: Vec::new() }.map(|(count, _)| count).collect()
    }

    #[test]
    fn rows_are_cut_into_few_sizes() {
        assert!(cut(0).is_empty());
        assert_eq!(cut(7), [2, 2, 2, 1]);
        assert_eq!(cut(1_193), [512, 512, 128, 32, 8, 1]);
        for count in 1..=2 * BATCH_MAX {
            assert_eq!(cut(count).iter().sum::<usize>(), count);
            assert!(cut(count).len() <= 16, "{count} rows");
        }
    }

    #[test]
    fn what_a_statement_has_no_room_for_goes_with_the_next_ones_in_order() {
        let bytes = |row: i64| if row % 7 == 0 { BOUND_BYTES_MAX / 8 + 1 } else { 1 };
        let rows = (0..1_000).map(|row| vec![Cell::Int(row), Cell::Bytes(vec![0; bytes(row)])]);
        let statements: Vec<_> = Cut { rows, taken: Vec::new() }.collect();
        assert!(statements.iter().all(|(count, cells)| cells.len() == 2 * count));
        assert!(statements.len() > 1_000 / ROWS[0] + 1);
        let numbers = statements.iter().flat_map(|(_, cells)| cells).filter_map(|cell| cell.as_int().ok());
        assert!(numbers.eq(0..1_000));
    }

    #[test]
    fn a_statement_binds_no_more_bytes_than_it_may() {
        let large = |bytes| vec![Cell::Bytes(vec![0; bytes])];
        assert_eq!(next_rows(&vec![large(BOUND_BYTES_MAX / 8); 9]), Some(8));
        assert_eq!(next_rows(&vec![large(BOUND_BYTES_MAX / 8 + 1); 9]), Some(2));
        assert_eq!(next_rows(&[large(2 * BOUND_BYTES_MAX), large(1)]), Some(1), "one row goes whatever it has");
    }

    #[test]
    fn keys_are_filled_up_with_the_last_one() {
        let keys: Vec<Cells> = (0..9).map(|key| vec![Cell::Int(key)]).collect();
        let numbers =
            |keys: &[Cells]| -> Vec<i64> { filled(keys).concat().iter().map(|c| c.as_int().unwrap()).collect() };
        assert_eq!(numbers(&keys[..1]), [0]);
        assert_eq!(numbers(&keys[..3]), [0, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(numbers(&keys[..8]), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(numbers(&keys).len(), 32);
        assert!(numbers(&[]).is_empty());
    }

    async fn count(tx: &mut Tx, condition: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM numbers WHERE {condition}");
        tx.rows(sql, Cells::new()).await.unwrap()[0][0].as_int().unwrap()
    }

    #[tokio::test]
    async fn batches_of_all_sizes_leave_their_rows_by_few_statements() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("numbers.db").display());
        let mut tx = Replica::open("numbers", &url, &SCHEMA).unwrap().write().await.unwrap();
        let before = prepared(&mut tx).await;
        let key = |batch: usize, number: usize| -> Cells { vec![(batch as u64).into(), (number as u64).into()] };
        let rows = |batch: usize, word: Option<&str>| -> Vec<Cells> {
            (0..batch).map(|number| [key(batch, number), vec![word.into()]].concat()).collect()
        };
        for batch in 1..=BATCH_MAX {
            tx.upsert(&NUMBERS, rows(batch, None)).await.unwrap();
        }
        let all = (BATCH_MAX * (BATCH_MAX + 1) / 2) as i64;
        assert_eq!(prepared(&mut tx).await - before, ROWS.len());
        assert_eq!(count(&mut tx, "word IS NULL").await, all);

        let few = [1, 2, 7, 129, BATCH_MAX];
        for batch in few {
            tx.insert_new(&NUMBERS, rows(batch, Some("kept"))).await.unwrap();
        }
        assert_eq!(count(&mut tx, "word IS NULL").await, all, "what is there stays");
        for batch in few {
            tx.upsert(&NUMBERS, rows(batch, Some("new"))).await.unwrap();
            assert_eq!(count(&mut tx, &format!("batch = {batch} AND word = 'new'")).await, batch as i64);
        }
        assert_eq!(count(&mut tx, "1 = 1").await, all, "what is there is replaced");
        assert!(tx.append(&NUMBERS, rows(1, None)).await.is_err());

        let before = prepared(&mut tx).await;
        for batch in 1..=BATCH_MAX {
            let keys: Vec<Cells> = (0..batch).map(|number| key(BATCH_MAX, number)).collect();
            let mut found: Vec<i64> =
                tx.select(&NUMBERS, keys).await.unwrap().iter().map(|row| row[1].as_int().unwrap()).collect();
            found.sort_unstable();
            assert!(found.into_iter().eq(0..batch as i64), "{batch} keys");
        }
        for batch in 1..=BATCH_MAX {
            tx.delete(&NUMBERS, (0..batch).map(|number| key(batch, number)).collect()).await.unwrap();
        }
        assert_eq!(prepared(&mut tx).await - before, 2 * KEYS.len());
        assert_eq!(count(&mut tx, "1 = 1").await, 0);
    }

    /// How many statements the connection keeps prepared, this question's included. Its thread says so once it has come to
    /// the next statement.
    async fn prepared(tx: &mut Tx) -> usize {
        for _ in 0..2 {
            count(tx, "1 = 1").await;
        }
        match &tx.inner {
            Inner::MySql(tx) => tx.cached_statements_size(),
            Inner::Sqlite(tx) => tx.cached_statements_size(),
        }
    }

    #[test]
    fn the_largest_statement_of_every_table_can_be_bound() {
        let widest = crate::shards::SHARD.tables.iter().map(|table| table.columns.len()).max();
        assert!(widest.is_some_and(|columns| columns * ROWS[0] <= 32_766));
    }
}
