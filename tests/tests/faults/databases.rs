//! The views' databases, seen and changed behind the server's back.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, SqliteConnection};
use teamlog_tests::{Api, Server};

/// A shard of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) name: String,
    /// The one that is asked first is the first.
    pub(crate) replicas: Vec<Replica>,
}

impl Shard {
    /// The one on which this caller's team lies.
    pub(crate) async fn of(server: &Server, caller: &Api) -> Shard {
        let name = caller.good("teamlog.status", json!({})).await["shard"].as_str().unwrap().to_owned();
        let config = server.config();
        let shards = config.get("shards").and_then(toml::Value::as_array);
        let Some(shard) = shards.into_iter().flatten().find(|shard| shard["name"].as_str() == Some(&name)) else {
            let file = server.data_dir().join(format!("shard-{name}.sqlite"));
            return Shard { name, replicas: vec![Replica(format!("sqlite://{}", file.display()))] };
        };
        let urls = shard["replicas"].as_array().unwrap().iter();
        Shard { name, replicas: urls.map(|url| Replica(url.as_str().unwrap().to_owned())).collect() }
    }

    /// Lets nobody write to it, and everybody read, until [`Database::let_go`]: its projectors stand still.
    pub(crate) async fn hold(&self) -> Vec<Database> {
        let mut held = Vec::new();
        for replica in &self.replicas {
            let mut database = replica.open().await;
            match &database {
                Database::MySql(_) => {
                    database.execute("START TRANSACTION").await;
                    // Every batch begins with these rows.
                    database.execute("SELECT * FROM positions FOR UPDATE").await;
                }
                Database::Sqlite(_) => {
                    database.execute("BEGIN IMMEDIATE").await;
                }
            }
            held.push(database);
        }
        held
    }
}

/// A replica, by its url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replica(String);

impl Replica {
    /// Returns the name by which the commands call the server.
    pub(crate) fn name(&self) -> &str {
        self.0.split_once("://").unwrap().1.trim_start_matches("root@")
    }

    /// A connection to the generation that is in force.
    pub(crate) async fn open(&self) -> Database {
        let first = Database::at(&self.0).await;
        match first.generation().await {
            None => Database::at(&self.0).await,
            Some(generation) if self.0.starts_with("mysql://") => {
                Database::at(&format!("{}_g{generation}", self.0)).await
            }
            Some(generation) => Database::at(&format!("{}.g{generation}", self.0)).await,
        }
    }
}

/// A connection.
pub(crate) enum Database {
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Database {
    async fn at(url: &str) -> Database {
        if url.starts_with("mysql://") {
            Database::MySql(MySqlConnection::connect(url).await.unwrap())
        } else {
            Database::Sqlite(SqliteConnection::connect(url).await.unwrap())
        }
    }

    async fn generation(self) -> Option<String> {
        let sql = "SELECT value FROM meta WHERE name = 'generation'";
        match self {
            Database::MySql(mut connection) => sqlx::query_scalar(sql).fetch_optional(&mut connection).await,
            Database::Sqlite(mut connection) => sqlx::query_scalar(sql).fetch_optional(&mut connection).await,
        }
        .unwrap()
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Database::MySql(connection) => sqlx::query(sql).execute(connection).await.unwrap().rows_affected(),
            Database::Sqlite(connection) => sqlx::query(sql).execute(connection).await.unwrap().rows_affected(),
        }
    }

    /// Ends whatever it held.
    pub(crate) async fn let_go(self) {
        match self {
            Database::MySql(connection) => connection.close().await.unwrap(),
            Database::Sqlite(connection) => connection.close().await.unwrap(),
        }
    }
}
