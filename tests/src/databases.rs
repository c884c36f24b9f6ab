//! The topics and databases of one server, on servers that many tests share.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

/// The databases that were made for one server.
pub(crate) struct Databases {
    /// The server's url without a database, and the database.
    made: Vec<(String, String)>,
}

impl Databases {
    /// Gives every topic and database in the configuration a name of its own, and makes the databases.
    pub(crate) async fn make(config: &mut toml::Table, folder: &Path) -> Databases {
        let own = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let log = config["log"].as_table_mut().expect("[log] is a table");
        log.insert("prefix".to_owned(), format!("e2e-{own}.").into());
        // Fewer than by default: they are made and dropped with every test.
        log.insert("partitions".to_owned(), 4.into());
        let search = folder.join("search").display().to_string();
        config.insert("search".to_owned(), toml::Table::from_iter([("dir".to_owned(), search.into())]).into());
        let mut made = Vec::new();
        rename(&mut config["mains"], &own, &mut made);
        for shard in config["shards"].as_array_mut().expect("[[shards]] is a list") {
            rename(shard, &own, &mut made);
        }
        for (server, database) in &made {
            let mut connection = MySqlConnection::connect(server).await.expect("the database server answers");
            // The name is made above and has nothing to quote.
            sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {database}")))
                .execute(&mut connection)
                .await
                .expect("a database can be made");
        }
        Databases { made }
    }

    /// Drops the databases, in a thread of its own: code in a runtime must not block.
    pub(crate) fn drop_all(self) {
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                for (server, database) in &self.made {
                    let mut connection = MySqlConnection::connect(server).await?;
                    // A view that was built anew lies in a database of its own, beside the first one's.
                    let all = "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE ?";
                    let all: Vec<String> =
                        sqlx::query_scalar(all).bind(format!("{database}%")).fetch_all(&mut connection).await?;
                    for database in all {
                        let drop = format!("DROP DATABASE {database}");
                        sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await?;
                    }
                }
                anyhow::Ok(())
            })
        });
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => eprintln!("databases are left behind: {why:#}"),
            Err(_) => eprintln!("databases are left behind"),
        }
    }
}

fn rename(part: &mut toml::Value, own: &str, made: &mut Vec<(String, String)>) {
    for replica in part["replicas"].as_array_mut().expect("replicas is a list") {
        let url = replica.as_str().expect("a replica is a url").to_owned();
        let (server, database) = url.rsplit_once('/').expect("a replica's url ends with its database");
        let database = format!("{database}_e2e_{own}");
        *replica = format!("{server}/{database}").into();
        made.push((format!("{server}/"), database));
    }
}
