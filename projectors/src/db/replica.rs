//! A replica of a view: a MySQL database or a SQLite file, opened when it is first used, of whichever generation is
//! the current one.

use std::{
    path::PathBuf,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use sqlx::{
    AssertSqlSafe, Connection, MySqlConnection, MySqlPool, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Cells, DbError, Dialect, POSITIONS, Table, Tx, text, word};

/// Connections of one process to one replica.
const CONNECTIONS: u32 = 8;
/// How long to wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Statements that a connection keeps prepared: a few sizes of each table's, and the readers' questions. Those that are in use come
/// to less; MySQL keeps 16,382 for all connections of a server, unless `max_prepared_stmt_count` says otherwise.
const STATEMENTS: usize = 256;
/// How old the knowledge of the current generation may be. A generation that was switched off is kept longer.
const GENERATION_KNOWN: Duration = Duration::from_secs(1);
/// How long SQLite waits for another's lock, MySQL for another's row.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// A transaction for writing locks the rows that it writes and no gaps between them, so that processes which share a view's
/// sources do not get into each other's way. It needs no snapshot: nobody else writes rows of the sources whose positions it
/// has locked.
const BEGIN_WRITING: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";

/// Which generation is the current one, and the like. Lies in the first generation's database.
static META: Table =
    Table { name: "meta", columns: &[word("name", 64), text("value")], key: 1, indexes: &[], pruned: true };

/// The rows of it: the current generation, and one that is complete and was not switched to yet.
const CURRENT: &str = "generation";
const BUILT: &str = "built";

fn noted(name: &str, generation: u32) -> Cells {
    vec![name.into(), generation.to_string().as_str().into()]
}

/// The tables of one kind of view.
#[derive(Debug)]
pub(crate) struct Schema {
    /// All but `positions` and `meta`, which every view has.
    pub(crate) tables: &'static [Table],
}

#[derive(Clone)]
enum Pool {
    MySql(MySqlPool),
    Sqlite(SqlitePool),
}

#[derive(Clone)]
enum Place {
    /// The server's url without a database, and the database's name.
    MySql {
        server: String,
        database: String,
    },
    Sqlite(PathBuf),
}

/// A replica. Cheap to clone; nothing is opened before it is used.
#[derive(Clone)]
pub struct Replica {
    inner: Arc<Inner>,
}

struct Inner {
    place: Place,
    name: String,
    schema: &'static Schema,
    /// Set on the replica that a rebuild builds or drops: it does not follow the switch.
    fixed: Option<u32>,
    current: RwLock<Option<Current>>,
    /// The last known one's generation, also after it was forgotten.
    seen: RwLock<Option<u32>>,
    /// Held while it is opened or looked at, so that one caller does it for all.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Current {
    generation: u32,
    pool: Pool,
    /// The pool of the first generation, where `meta` lies.
    base: Pool,
    checked: Instant,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replica({})", self.inner.name)
    }
}

impl Replica {
    /// The replica at `mysql://user@host:port/database` or `sqlite://path`. Its database and tables are made when it
    /// is first used.
    pub(crate) fn open(url: &str, schema: &'static Schema) -> Result<Replica, DbError> {
        let place = if let Some(path) = url.strip_prefix("sqlite://") {
            Place::Sqlite(PathBuf::from(path))
        } else if let Some(rest) = url.strip_prefix("mysql://") {
            let (rest, options) = rest.split_once('?').map_or((rest, ""), |(rest, options)| (rest, options));
            let (host, database) = rest.rsplit_once('/').unwrap_or((rest, ""));
            let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if database.is_empty() || !database.chars().all(known) {
                return Err(DbError::Url("a mysql:// url ends with the name of a database".to_owned()));
            }
            let question = if options.is_empty() { "" } else { "?" };
            let server = format!("mysql://{host}/{question}{options}");
            MySqlConnectOptions::from_str(&server).map_err(|why| DbError::Url(why.to_string()))?;
            Place::MySql { server, database: database.to_owned() }
        } else {
            return Err(DbError::Url("a replica is mysql://user@host/database or sqlite://path".to_owned()));
        };
        Ok(Replica::at(place, schema, None))
    }

    fn at(place: Place, schema: &'static Schema, fixed: Option<u32>) -> Replica {
        let name = match &place {
            Place::Sqlite(path) => path.display().to_string(),
            Place::MySql { server, database } => {
                let host = server.trim_start_matches("mysql://").split('/').next().unwrap_or_default();
                format!("{}/{database}", host.rsplit('@').next().unwrap_or_default())
            }
        };
        let name = fixed.map_or(name.clone(), |generation| format!("{name} (generation {generation})"));
        let (current, seen, opening) = (RwLock::default(), RwLock::default(), tokio::sync::Mutex::default());
        Replica { inner: Arc::new(Inner { place, name, schema, fixed, current, seen, opening }) }
    }

    /// What people know it by: no credentials.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The same place, at one generation for good.
    pub(crate) fn generation(&self, generation: u32) -> Replica {
        Replica::at(self.inner.place.clone(), self.inner.schema, Some(generation))
    }

    /// The current generation: 0 until it was built anew.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn current_generation(&self) -> Result<u32, DbError> {
        Ok(self.current().await?.generation)
    }

    /// The current generation as it was last seen here; none if it never was.
    pub(crate) fn seen_generation(&self) -> Option<u32> {
        *self.inner.seen.read()
    }

    /// A transaction for reading: everything it reads is of one moment.
    pub(crate) async fn read(&self) -> Result<Tx, DbError> {
        let tx = match self.current().await?.pool {
            Pool::MySql(pool) => pool
                .begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                .await
                .map(|tx| Tx::mysql(tx, self.name())),
            // In WAL mode the first read takes the snapshot.
            Pool::Sqlite(pool) => pool.begin_with("BEGIN").await.map(|tx| Tx::sqlite(tx, self.name())),
        };
        tx.map_err(|error| self.failed(&error))
    }

    /// A transaction for writing.
    pub(crate) async fn write(&self) -> Result<Tx, DbError> {
        let pool = self.current().await?.pool;
        self.begin(&pool).await
    }

    async fn begin(&self, pool: &Pool) -> Result<Tx, DbError> {
        let tx = match pool {
            Pool::MySql(pool) => pool.begin_with(BEGIN_WRITING).await.map(|tx| Tx::mysql(tx, self.name())),
            Pool::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(|tx| Tx::sqlite(tx, self.name())),
        };
        tx.map_err(|error| self.failed(&error))
    }

    /// A generation that is complete and was not switched to yet.
    pub(crate) async fn built_generation(&self) -> Result<Option<u32>, DbError> {
        let base = self.current().await?.base;
        let mut tx = self.begin(&base).await?;
        let rows = tx.select(&META, vec![vec![BUILT.into()]]).await?;
        rows.first().map(|row| row[1].as_text()?.parse().map_err(DbError::broken)).transpose()
    }

    /// Says which generation is complete, or that none is.
    pub(crate) async fn mark_built(&self, generation: Option<u32>) -> Result<(), DbError> {
        let base = self.current().await?.base;
        let mut tx = self.begin(&base).await?;
        match generation {
            Some(generation) => tx.upsert(&META, vec![noted(BUILT, generation)]).await?,
            None => tx.delete(&META, vec![vec![BUILT.into()]]).await?,
        }
        tx.commit().await
    }

    /// Makes `generation` the current one, for every process that looks.
    pub(crate) async fn switch(&self, generation: u32) -> Result<(), DbError> {
        let base = self.current().await?.base;
        let mut tx = self.begin(&base).await?;
        tx.upsert(&META, vec![noted(CURRENT, generation)]).await?;
        tx.delete(&META, vec![vec![BUILT.into()]]).await?;
        tx.commit().await?;
        self.forget();
        Ok(())
    }

    /// Whether it is open, so that the next question need not begin with that.
    pub(crate) fn is_open(&self) -> bool {
        self.inner.current.read().is_some()
    }

    /// Opens everything anew at the next use: a database that was dropped or restored is seen then.
    pub(crate) fn forget(&self) {
        *self.inner.current.write() = None;
    }

    /// Closes its connections; the next use opens new ones.
    pub(crate) async fn close(&self) {
        let current = self.inner.current.write().take();
        for pool in current.into_iter().flat_map(|current| [current.pool, current.base]) {
            match pool {
                Pool::MySql(pool) => pool.close().await,
                Pool::Sqlite(pool) => pool.close().await,
            }
        }
    }

    /// Drops the database of `generation`; of the first one the tables, for its `meta` says which is current.
    pub(crate) async fn drop_generation(&self, generation: u32) -> Result<(), DbError> {
        match (&self.inner.place, generation) {
            (_, 0) => {
                let base = self.current().await?.base;
                for table in self.inner.schema.tables.iter().chain([&POSITIONS]) {
                    let mut tx = self.begin(&base).await?;
                    tx.execute(format!("DROP TABLE IF EXISTS {}", table.name), Cells::new()).await?;
                    tx.commit().await?;
                }
            }
            (Place::MySql { server, database }, _) => {
                let sql = format!("DROP DATABASE IF EXISTS `{}`", database_of(database, generation));
                self.on_server(server, sql).await?;
            }
            (Place::Sqlite(path), _) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut file = file_of(path, generation).into_os_string();
                    file.push(suffix);
                    match tokio::fs::remove_file(&file).await {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            return Err(DbError::Away { replica: self.name().to_owned(), why: error.to_string() });
                        }
                        _ => {}
                    }
                }
            }
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
        let before = self.inner.current.read().clone();
        let base = match &before {
            Some(before) => before.base.clone(),
            None => self.connect(0, &[]).await?,
        };
        let generation = match self.inner.fixed {
            Some(fixed) => fixed,
            None => self.marked_generation(&base).await?,
        };
        let pool = match before {
            Some(before) if before.generation == generation => before.pool,
            _ => self.connect(generation, self.inner.schema.tables).await?,
        };
        let current = Current { generation, pool, base, checked: Instant::now() };
        *self.inner.current.write() = Some(current.clone());
        *self.inner.seen.write() = Some(generation);
        Ok(current)
    }

    fn known(&self) -> Option<Current> {
        let current = self.inner.current.read();
        current.as_ref().filter(|current| current.checked.elapsed() < GENERATION_KNOWN).cloned()
    }

    async fn marked_generation(&self, base: &Pool) -> Result<u32, DbError> {
        let mut tx = match base {
            Pool::MySql(pool) => pool.begin().await.map(|tx| Tx::mysql(tx, self.name())),
            Pool::Sqlite(pool) => pool.begin_with("BEGIN").await.map(|tx| Tx::sqlite(tx, self.name())),
        }
        .map_err(|error| self.failed(&error))?;
        let rows = tx.select(&META, vec![vec![CURRENT.into()]]).await?;
        rows.first().map_or(Ok(0), |row| row[1].as_text()?.parse().map_err(DbError::broken))
    }

    /// A pool on one generation, its database and tables made where they are missing.
    async fn connect(&self, generation: u32, tables: &[Table]) -> Result<Pool, DbError> {
        let pool = match &self.inner.place {
            Place::MySql { server, database } => {
                let database = database_of(database, generation);
                let sql =
                    format!("CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
                self.on_server(server, sql).await?;
                let options = MySqlConnectOptions::from_str(server).map_err(|why| DbError::Url(why.to_string()))?;
                let statements = [
                    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ".to_owned(),
                    format!("SET SESSION innodb_lock_wait_timeout = {}", LOCK_WAIT.as_secs()),
                ];
                let pool = MySqlPoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .after_connect(move |connection, _| {
                        let statements = statements.clone();
                        Box::pin(async move {
                            for statement in statements {
                                sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
                            }
                            Ok(())
                        })
                    })
                    .connect_lazy_with(options.database(&database).statement_cache_capacity(STATEMENTS));
                Pool::MySql(pool)
            }
            Place::Sqlite(path) => {
                if let Some(folder) = path.parent() {
                    let made = tokio::fs::create_dir_all(folder).await;
                    made.map_err(|why| DbError::Away { replica: self.name().to_owned(), why: why.to_string() })?;
                }
                let options = SqliteConnectOptions::new()
                    .filename(file_of(path, generation))
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // Rows and positions are lost together or not at all, and the log brings them again.
                    .synchronous(SqliteSynchronous::Normal)
                    .busy_timeout(LOCK_WAIT)
                    .statement_cache_capacity(STATEMENTS);
                let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
                Pool::Sqlite(pool.connect_lazy_with(options))
            }
        };
        let dialect = match &pool {
            Pool::MySql(_) => Dialect::MySql,
            Pool::Sqlite(_) => Dialect::Sqlite,
        };
        let own: &[&Table] = if tables.is_empty() { &[&META] } else { &[&POSITIONS] };
        for statement in own.iter().copied().chain(tables).flat_map(|table| table.ddl(dialect)) {
            let statement = AssertSqlSafe(statement);
            let done = match &pool {
                Pool::MySql(pool) => sqlx::query(statement).execute(pool).await.map(drop),
                Pool::Sqlite(pool) => sqlx::query(statement).execute(pool).await.map(drop),
            };
            done.map_err(|error| self.failed(&error))?;
        }
        Ok(pool)
    }

    async fn on_server(&self, server: &str, sql: String) -> Result<(), DbError> {
        let options = MySqlConnectOptions::from_str(server).map_err(|why| DbError::Url(why.to_string()))?;
        let work = async {
            let mut connection = MySqlConnection::connect_with(&options).await?;
            sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
            connection.close().await
        };
        match tokio::time::timeout(ACQUIRE_TIMEOUT, work).await {
            Ok(done) => done.map_err(|error| self.failed(&error)),
            Err(_) => Err(DbError::Away { replica: self.name().to_owned(), why: "no connection in 2 s".to_owned() }),
        }
    }

    fn failed(&self, error: &sqlx::Error) -> DbError {
        DbError::driver(self.name(), error)
    }
}

fn database_of(database: &str, generation: u32) -> String {
    if generation == 0 { database.to_owned() } else { format!("{database}_g{generation}") }
}

fn file_of(path: &std::path::Path, generation: u32) -> PathBuf {
    if generation == 0 {
        return path.to_owned();
    }
    let mut file = path.as_os_str().to_owned();
    file.push(format!(".g{generation}"));
    file.into()
}
