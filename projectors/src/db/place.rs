//! The location of a replica (a MySQL server or a SQLite file), and the connections to one of its generations.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, MySqlConnection, MySqlPool, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{DbError, Dialect, Tx};

/// Connections of one process to one replica.
const CONNECTIONS: u32 = 8;
/// How long to wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Statements that a connection keeps prepared: a few sizes of each table's, and the readers' questions. Those that are in use come
/// to less; MySQL keeps 16,382 for all connections of a server, unless `max_prepared_stmt_count` says otherwise.
const STATEMENTS: usize = 256;
/// How long SQLite waits for another's lock, MySQL for another's row.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// A transaction for writing locks the rows that it writes and no gaps between them, so that processes which share a view's
/// sources do not get into each other's way. It needs no snapshot: nobody else writes rows of the sources whose positions it
/// has locked.
const BEGIN_WRITING: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";

/// A replica's place.
#[derive(Clone)]
pub(super) enum Place {
    /// The server's url without a database, and the database's name.
    MySql {
        server: String,
        database: String,
    },
    Sqlite(PathBuf),
    /// A database in this process's memory.
    Memory,
}

impl Place {
    /// Parses `mysql://user@host:port/database` or `sqlite://path`.
    pub(super) fn of(url: &str) -> Result<Place, DbError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return Ok(Place::Sqlite(PathBuf::from(path)));
        }
        let Some(rest) = url.strip_prefix("mysql://") else {
            return Err(DbError::Url("a replica is mysql://user@host/database or sqlite://path".to_owned()));
        };
        let (rest, options) = rest.split_once('?').map_or((rest, ""), |(rest, options)| (rest, options));
        let (host, database) = rest.rsplit_once('/').unwrap_or((rest, ""));
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if database.is_empty() || !database.chars().all(known) {
            return Err(DbError::Url("a mysql:// url ends with the name of a database".to_owned()));
        }
        let question = if options.is_empty() { "" } else { "?" };
        let server = format!("mysql://{host}/{question}{options}");
        server_options(&server)?;
        Ok(Place::MySql { server, database: database.to_owned() })
    }

    /// Returns the replica's name, without credentials.
    pub(super) fn name(&self) -> String {
        match self {
            Place::Sqlite(path) => path.display().to_string(),
            Place::MySql { server, database } => {
                let host = server.trim_start_matches("mysql://").split('/').next().unwrap_or_default();
                format!("{}/{database}", host.rsplit('@').next().unwrap_or_default())
            }
            Place::Memory => "memory".to_owned(),
        }
    }

    /// Makes a pool on one generation of `replica`, and creates its database if it does not exist.
    pub(super) async fn connect(&self, replica: &str, generation: u32) -> Result<Pool, DbError> {
        match self {
            Place::MySql { server, database } => {
                let database = database_of(database, generation);
                let sql =
                    format!("CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
                on_server(replica, server, sql).await?;
                let options = server_options(server)?.database(&database).statement_cache_capacity(STATEMENTS);
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
                    });
                Ok(Pool::MySql(pool.connect_lazy_with(options)))
            }
            Place::Sqlite(path) => {
                if let Some(folder) = path.parent() {
                    tokio::fs::create_dir_all(folder).await.map_err(|why| away(replica, why))?;
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
                Ok(Pool::Sqlite(pool.connect_lazy_with(options)))
            }
            Place::Memory => {
                let options = SqliteConnectOptions::from_str("sqlite::memory:");
                let options = options.map_err(|why| DbError::driver(replica, &why))?;
                // The database vanishes with its last connection.
                let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
                Ok(Pool::Sqlite(pool.connect_lazy_with(options)))
            }
        }
    }

    /// Removes the database of a generation after the first one, if there is one.
    pub(super) async fn remove(&self, replica: &str, generation: u32) -> Result<(), DbError> {
        match self {
            Place::MySql { server, database } => {
                let sql = format!("DROP DATABASE IF EXISTS `{}`", database_of(database, generation));
                on_server(replica, server, sql).await?;
            }
            Place::Sqlite(path) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut file = file_of(path, generation).into_os_string();
                    file.push(suffix);
                    match tokio::fs::remove_file(&file).await {
                        Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(away(replica, why)),
                        _ => {}
                    }
                }
            }
            Place::Memory => {}
        }
        Ok(())
    }
}

fn away(replica: &str, why: impl ToString) -> DbError {
    DbError::Away { replica: replica.to_owned(), why: why.to_string() }
}

fn server_options(server: &str) -> Result<MySqlConnectOptions, DbError> {
    MySqlConnectOptions::from_str(server).map_err(|why| DbError::Url(why.to_string()))
}

async fn on_server(replica: &str, server: &str, sql: String) -> Result<(), DbError> {
    let options = server_options(server)?;
    let work = async {
        let mut connection = MySqlConnection::connect_with(&options).await?;
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await
    };
    match tokio::time::timeout(ACQUIRE_TIMEOUT, work).await {
        Ok(done) => done.map_err(|why| DbError::driver(replica, &why)),
        Err(_) => Err(away(replica, "no connection in 2 s")),
    }
}

fn database_of(database: &str, generation: u32) -> String {
    if generation == 0 { database.to_owned() } else { format!("{database}_g{generation}") }
}

fn file_of(path: &Path, generation: u32) -> PathBuf {
    if generation == 0 {
        return path.to_owned();
    }
    let mut file = path.as_os_str().to_owned();
    file.push(format!(".g{generation}"));
    file.into()
}

/// Connections to one generation of a replica.
#[derive(Clone)]
pub(super) enum Pool {
    MySql(MySqlPool),
    Sqlite(SqlitePool),
}

impl Pool {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Pool::MySql(_) => Dialect::MySql,
            Pool::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// A transaction for reading: everything it reads is of one moment.
    pub(super) async fn read(&self, replica: &str) -> Result<Tx, DbError> {
        let tx = match self {
            Pool::MySql(pool) => pool
                .begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                .await
                .map(|tx| Tx::mysql(tx, replica)),
            // In WAL mode the first read takes the snapshot.
            Pool::Sqlite(pool) => pool.begin_with("BEGIN").await.map(|tx| Tx::sqlite(tx, replica)),
        };
        tx.map_err(|why| DbError::driver(replica, &why))
    }

    /// A transaction for writing.
    pub(super) async fn write(&self, replica: &str) -> Result<Tx, DbError> {
        let tx = match self {
            Pool::MySql(pool) => pool.begin_with(BEGIN_WRITING).await.map(|tx| Tx::mysql(tx, replica)),
            Pool::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(|tx| Tx::sqlite(tx, replica)),
        };
        tx.map_err(|why| DbError::driver(replica, &why))
    }

    /// Runs one statement outside of a transaction.
    pub(super) async fn execute(&self, replica: &str, statement: String) -> Result<(), DbError> {
        let statement = AssertSqlSafe(statement);
        let done = match self {
            Pool::MySql(pool) => sqlx::query(statement).execute(pool).await.map(drop),
            Pool::Sqlite(pool) => sqlx::query(statement).execute(pool).await.map(drop),
        };
        done.map_err(|why| DbError::driver(replica, &why))
    }

    /// Closes all of them.
    pub(super) async fn close(self) {
        match self {
            Pool::MySql(pool) => pool.close().await,
            Pool::Sqlite(pool) => pool.close().await,
        }
    }
}
