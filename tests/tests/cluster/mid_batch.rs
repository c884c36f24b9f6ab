//! A projector in the middle of a batch: it has moved its position on and waits for a lock that its next rows need.

use std::time::Duration;

use sqlx::{Connection, MySqlConnection};
use teamlog_tests::Cluster;
use tokio::time::timeout;

use crate::PATIENCE;

/// The databases of the shards, by the names that the stack gives them.
const SHARDS: [&str; 2] = ["s1", "s2"];

/// The pause between two looks at the server's transactions. InnoDB repeats its last answer to looks within 100 ms (MySQL's
/// manual on the persistence of InnoDB's transaction tables).
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A lock on a database server that stops every writer at a message's row, after it has written other rows. Readers do not
/// wait.
pub(crate) struct Hold {
    connection: MySqlConnection,
}

impl Hold {
    pub(crate) async fn on(cluster: &Cluster, server: &str) -> Hold {
        let url = format!("mysql://root@127.0.0.1:{}/", cluster.port(server));
        let connection = MySqlConnection::connect(&url).await.unwrap();
        let mut hold = Hold { connection };
        let held = async {
            // This and a projector may each wait for a lock that the other holds. The server then aborts one of them.
            while let Err(why) = hold.lock().await {
                eprintln!("{server}: once more, for {why}");
                hold.run("ROLLBACK").await.unwrap();
            }
        };
        timeout(PATIENCE, held).await.expect("the rows can be locked");
        hold
    }

    /// Locks every row and the gaps between them, so that no row can be inserted.
    async fn lock(&mut self) -> sqlx::Result<()> {
        self.run("START TRANSACTION").await?;
        for shard in SHARDS {
            self.run(&format!("SELECT COUNT(*) FROM teamlog_{shard}.messages FORCE INDEX (PRIMARY) FOR UPDATE"))
                .await?;
        }
        Ok(())
    }

    async fn run(&mut self, sql: &str) -> sqlx::Result<()> {
        // Nothing in it comes from outside.
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut self.connection).await.map(drop)
    }

    /// Waits until a projector is caught: it waits for the lock, with rows written and not committed. Returns its process.
    pub(crate) async fn caught(&mut self, cluster: &Cluster, partition: u32) -> String {
        let waiting = "SELECT of.db FROM information_schema.innodb_trx JOIN information_schema.processlist AS of \
                       ON of.id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND trx_rows_modified > 0";
        let caught = async {
            loop {
                let found: Vec<String> = sqlx::query_scalar(waiting).fetch_all(&mut self.connection).await.unwrap();
                if let Some(database) = found.first() {
                    return database.clone();
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let database = timeout(PATIENCE, caught).await.expect("a projector comes to the lock");
        let view = format!("shard {}", database.strip_prefix("teamlog_").unwrap());
        let part = cluster.projector(&view, partition);
        eprintln!("{part} is in the middle of a batch of {view}");
        part
    }

    pub(crate) async fn release(mut self) {
        self.run("ROLLBACK").await.unwrap();
        self.connection.close().await.unwrap();
    }
}
