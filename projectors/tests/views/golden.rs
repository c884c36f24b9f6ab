//! The rows of a fixed sequence of events, byte for byte, with the fingerprint of the schema that they were written with.
//!
//! Where rows change and the fingerprint does not, replicas that older versions built would be taken for good: the version of
//! the rows has to be raised. Then `TEAMLOG_BLESS=1 cargo test -p teamlog-projectors --test views golden` writes the new file. (If
//! it is the life that has changed, remove the old file first.)

use std::{fmt::Write, path::PathBuf, sync::Arc};

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use teamlog_log::{Position, Topic, TopicPartition};
use teamlog_projectors::{Batch, Mains, Projector};

use crate::{
    events::*,
    house::{House, shard, source},
    mains::{founded, registered},
};

/// Everything in a SQLite file but positions, which are not the view's to decide, keyed writes, which are never compared, and
/// the notes on it.
async fn rows_in(url: &str) -> String {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let mut out = String::new();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' \
                  AND name NOT IN ('positions', 'meta', 'write_keys') ORDER BY name";
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let table: String = table.get(0);
        writeln!(out, "\n{table}").unwrap();
        let columns = sqlx::query(AssertSqlSafe(format!("SELECT name FROM pragma_table_info('{table}')")));
        let columns = columns.fetch_all(&mut connection).await.unwrap();
        let quoted: Vec<String> =
            columns.iter().map(|column| format!("quote({})", column.get::<String, _>(0))).collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || '|' || "));
        for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap() {
            writeln!(out, "  {}", row.get::<String, _>(0)).unwrap();
        }
    }
    out
}

async fn schema_in(url: &str) -> String {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let sql = "SELECT value FROM meta WHERE name = 'schema'";
    sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0)
}

async fn check(view: &str, url: &str) {
    let (schema, rows) = (schema_in(url).await, rows_in(url).await);
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/views/golden/{view}.txt"));
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let (old_schema, old_rows) = before.split_once('\n').unwrap_or_default();
    assert!(
        old_rows == rows || !old_schema.ends_with(&schema),
        "{view}: the rows have changed and the schema's fingerprint has not: raise ROWS_VERSION beside its tables\n{rows}"
    );
    let now = format!("schema {schema}\n{rows}");
    if std::env::var("TEAMLOG_BLESS").is_ok() {
        std::fs::write(&file, &now).unwrap();
    }
    let now_there = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(now_there, now, "{view}: another schema; bless it (see the head of this file)");
}

async fn project(projector: &Arc<dyn Projector>, house: &House, of: TopicPartition) {
    let mut batch = Batch::default();
    batch.extend(of, Position::START, house.entries(of).await);
    projector.apply(&batch).await.unwrap();
}

#[tokio::test]
async fn the_rows_of_a_shard_change_with_its_fingerprint() {
    let house = House::new().await;
    let url = format!("sqlite://{}", house.dir.path().join("s1.db").display());
    house.append(source(Topic::Events), life("s1").iter().map(|event| &**event)).await;
    house.append(source(Topic::Marks), [&marks(bob(), general(), 11)]).await;
    house.append(source(Topic::Credentials), [&stored(1, "aa")]).await;
    let projector = &shard(vec![url.clone()]).projectors()[0];
    for topic in [Topic::Events, Topic::Marks, Topic::Credentials] {
        project(projector, &house, source(topic)).await;
    }
    check("shard", &url).await;
}

#[tokio::test]
async fn the_rows_of_mains_change_with_its_fingerprint() {
    let house = House::new().await;
    let url = format!("sqlite://{}", house.dir.path().join("mains.db").display());
    house.append(TopicPartition::DIRECTORY, &[founded(1), registered("acme", "T0ACME")]).await;
    project(&Mains::new(std::slice::from_ref(&url)).unwrap().projectors()[0], &house, TopicPartition::DIRECTORY).await;
    check("mains", &url).await;
}
