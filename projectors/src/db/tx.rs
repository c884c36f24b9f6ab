//! A transaction on either database.

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use sqlx::{AssertSqlSafe, MySql, Sqlite, Transaction};

use super::{
    Cell, Cells, DbError, Dialect, Table,
    cell::{of_mysql, of_sqlite},
};

/// SQLite takes 32,766 bound values, MySQL 65,535.
const BOUND_MAX: usize = 30_000;
/// Bytes bound in one statement; MySQL's `max_allowed_packet` is 16 MB by default.
const BOUND_BYTES_MAX: usize = 4 << 20;
/// Keys looked up by one statement: SQLite's expressions are at most 1,000 deep.
const KEYS_MAX: usize = 200;
/// Rows of the statements that [`Tx::append`] keeps prepared.
const APPENDED_ROWS: [usize; 5] = [512, 128, 32, 8, 1];

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
    ($sql:expr, $args:expr, $persistent:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql)).persistent($persistent);
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

    /// Runs one statement and says how many rows it found (or, on SQLite, changed).
    pub(crate) async fn execute(&mut self, sql: impl Into<String>, args: Cells) -> Result<u64, DbError> {
        self.run(sql.into(), args, true).await
    }

    async fn run(&mut self, sql: String, args: Cells, persistent: bool) -> Result<u64, DbError> {
        let done = match &mut self.inner {
            Inner::MySql(tx) => bound!(sql, args, persistent).execute(&mut **tx).await.map(|done| done.rows_affected()),
            Inner::Sqlite(tx) => {
                bound!(sql, args, persistent).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        };
        done.map_err(|error| DbError::driver(&self.replica, &error))
    }

    /// All rows of a query.
    pub(crate) async fn rows(&mut self, sql: impl Into<String>, args: Cells) -> Result<Vec<Cells>, DbError> {
        let (sql, replica) = (sql.into(), self.replica.clone());
        let away = |error: sqlx::Error| DbError::driver(&replica, &error);
        match &mut self.inner {
            Inner::MySql(tx) => {
                let rows = bound!(sql, args, true).fetch_all(&mut **tx).await.map_err(away)?;
                rows.iter().map(|row| of_mysql(row).map_err(DbError::broken)).collect()
            }
            Inner::Sqlite(tx) => {
                let rows = bound!(sql, args, true).fetch_all(&mut **tx).await.map_err(away)?;
                rows.iter().map(|row| of_sqlite(row).map_err(DbError::broken)).collect()
            }
        }
    }

    /// The rows of a query one by one, however many.
    pub(crate) fn stream(&mut self, sql: String, args: Cells) -> BoxStream<'_, Result<Cells, DbError>> {
        let replica = self.replica.clone();
        let away = move |error: sqlx::Error| DbError::driver(&replica, &error);
        match &mut self.inner {
            Inner::MySql(tx) => bound!(sql, args, false)
                .fetch(&mut **tx)
                .map_err(away)
                .map(|row| row.and_then(|row| of_mysql(&row).map_err(DbError::broken)))
                .boxed(),
            Inner::Sqlite(tx) => bound!(sql, args, false)
                .fetch(&mut **tx)
                .map_err(away)
                .map(|row| row.and_then(|row| of_sqlite(&row).map_err(DbError::broken)))
                .boxed(),
        }
    }

    /// Inserts rows, or replaces those whose key is there.
    pub(crate) async fn upsert(&mut self, table: &Table, rows: Vec<Cells>) -> Result<(), DbError> {
        self.insert(table, rows, true).await
    }

    /// Inserts the rows whose key is not there yet.
    pub(crate) async fn insert_new(&mut self, table: &Table, rows: Vec<Cells>) -> Result<(), DbError> {
        self.insert(table, rows, false).await
    }

    async fn insert(&mut self, table: &Table, rows: Vec<Cells>, replace: bool) -> Result<(), DbError> {
        let rows_max = BOUND_MAX / table.columns.len();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let (mut args, mut count, mut bytes) = (Vec::new(), 0, 0);
            while count < rows_max && bytes < BOUND_BYTES_MAX {
                let Some(row) = rows.next() else { break };
                bytes += row.iter().map(size).sum::<usize>();
                args.extend(row);
                count += 1;
            }
            let sql = table.insert(self.dialect(), count, replace);
            // A statement of many rows is hardly ever the same again: not worth a place among the prepared ones.
            self.run(sql, args, count == 1).await?;
        }
        Ok(())
    }

    /// Inserts rows of which no key is there yet, by few statements, each prepared once: as fast as the database takes
    /// them.
    pub(crate) async fn append(&mut self, table: &Table, rows: Vec<Cells>) -> Result<(), DbError> {
        let statements = APPENDED_ROWS.map(|count| (count, table.append(count)));
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let fits = |count: usize| {
                let bytes = || rest[..count].iter().flatten().map(size).sum::<usize>();
                count == 1 || (count <= rest.len() && bytes() <= BOUND_BYTES_MAX)
            };
            let Some((count, sql)) = statements.iter().find(|(count, _)| fits(*count)) else { break };
            let (now, behind) = rest.split_at(*count);
            self.run(sql.clone(), now.concat(), true).await?;
            rest = behind;
        }
        Ok(())
    }

    /// The rows of these keys, in no order.
    pub(crate) async fn select(&mut self, table: &Table, keys: Vec<Cells>) -> Result<Vec<Cells>, DbError> {
        let mut found = Vec::new();
        for keys in keys.chunks(KEYS_MAX) {
            let sql = format!("SELECT {} FROM {} WHERE {}", table.names(), table.name, table.keyed(keys.len()));
            found.extend(self.rows(sql, keys.concat()).await?);
        }
        Ok(found)
    }

    /// Deletes the rows of these keys.
    pub(crate) async fn delete(&mut self, table: &Table, keys: Vec<Cells>) -> Result<(), DbError> {
        for keys in keys.chunks(KEYS_MAX) {
            let sql = format!("DELETE FROM {} WHERE {}", table.name, table.keyed(keys.len()));
            self.run(sql, keys.concat(), keys.len() == 1).await?;
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

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Null | Cell::Int(_) => 9,
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
    }
}
