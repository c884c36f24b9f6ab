//! Views that another version built: they are neither read nor written, and a rebuild is the migration.

use teamlog_log::{Offset, Position, Topic};
use teamlog_projectors::{
    OtherSchema, Runner, Search, SearchError, Shards, VerifyError, View, ViewReplica, ViewStatus, lowest_positions,
};
use teamlog_state::{FactsWanted, TeamSource};
use tokio_util::sync::CancellationToken;

use crate::{
    events::*,
    house::{House, by_hand, on_each, shard, soon, source, statement},
    search::words,
};

fn replicas(shards: &Shards) -> Vec<ViewReplica> {
    View::Shard(shards.clone(), "s1".into()).replicas()
}

/// The life in a log, projected to these replicas and closed again.
async fn lived(house: &House, urls: &[&str]) -> Offset {
    let life = life("s1");
    let end = house.append(source(Topic::Events), life.iter().map(|event| &**event)).await;
    let running = Running::new(house, urls);
    soon(running.runner.wait_for("shard s1", source(Topic::Events), end)).await.unwrap();
    running.end().await;
    end
}

struct Running {
    shards: Shards,
    runner: Runner,
    feed: teamlog_log::Feed<teamlog_schemas::Event>,
    stop: CancellationToken,
}

impl Running {
    fn new(house: &House, urls: &[&str]) -> Running {
        let shards = shard(urls.iter().map(|url| (*url).to_owned()).collect());
        let stop = CancellationToken::new();
        let feed = house.feed(&stop);
        let runner = Runner::new(feed.clone(), stop.clone());
        shards.projectors().into_iter().for_each(|projector| runner.start(projector));
        shards.follow(&feed);
        Running { shards, runner, feed, stop }
    }

    /// Ends once a replica's status is so.
    async fn status(&self, replica: usize, is_so: impl Fn(&ViewStatus) -> bool) -> ViewStatus {
        soon(async {
            loop {
                let status = self.runner.status().remove(replica);
                if is_so(&status) {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await
    }

    async fn end(self) {
        self.stop.cancel();
        soon(self.runner.stopped()).await;
    }
}

/// Changes of a view's notes that give it another schema, as an older or a newer version would have left them.
const OTHERS: [&[&str]; 3] = [
    &["UPDATE meta SET value = 'ffff' WHERE name = 'schema'"],
    // Built before there were fingerprints.
    &["DELETE FROM meta WHERE name IN ('schema', 'tables')"],
    // And with other tables.
    &[
        "UPDATE meta SET value = 'ffff' WHERE name = 'schema'",
        "DROP TABLE mentions",
        "CREATE TABLE stars (team BIGINT NOT NULL)",
        "UPDATE meta SET value = 'teams,stars,positions' WHERE name = 'tables'",
    ],
];

#[tokio::test]
async fn it_is_told_left_alone_and_rebuilt_while_it_is_asked() {
    for statements in OTHERS {
        on_each(|house, url| async move {
            let end = lived(&house, &[&url]).await;
            for one in statements {
                statement(&url, one).await;
            }
            let running = Running::new(&house, &[&url]);
            let status = running.status(0, |status| status.progress.needs_rebuild).await;
            let why = status.progress.failing.unwrap();
            for part in ["shard s1", "another version", "run `teamlog view rebuild \"shard s1\"`", &status.replica] {
                assert!(why.contains(part), "{why}");
            }
            let left = replicas(&running.shards).remove(0);
            let is_other = |why: &VerifyError| why.other_schema().is_some_and(|other| other.view == "shard s1");
            assert!(is_other(&left.positions().await.unwrap_err()));
            assert!(is_other(&soon(left.verify(&running.feed, None, house.dir.path())).await.unwrap_err()));
            // It answers as one that has not begun: the log's tail makes the rest.
            let at = running.shards.team("s1", team()).await.unwrap();
            assert!(at.rows.is_none() && at.position == Position::START, "{at:?}");
            let wanted = FactsWanted { messages: vec![(general(), ts(10))], ..FactsWanted::default() };
            let facts = running.shards.facts("s1", team(), &[wanted]).await.unwrap();
            assert!(facts.rows[0].message(general(), ts(10)).is_none() && facts.position == Position::START);
            let end =
                house.append(source(Topic::Events), [&posts(general(), message(bob(), 90)).into()]).await.max(end);

            let rebuilt = soon(left.rebuild(&running.feed, true)).await.unwrap();
            assert_eq!((rebuilt.before, rebuilt.generation, rebuilt.switched), (0, 1, true));
            assert!(rebuilt.differed.is_none(), "rows of another schema are not compared");
            let status = running.status(0, |status| !status.progress.needs_rebuild).await;
            assert_eq!(status.progress.failing, None);
            soon(running.runner.wait_for("shard s1", source(Topic::Events), end)).await.unwrap();
            assert_eq!(running.shards.team("s1", team()).await.unwrap().position.offset, end);
            let verified = soon(left.verify(&running.feed, None, house.dir.path())).await.unwrap();
            assert_eq!(verified.differences, []);
            // Nothing of the old one is left but its notes.
            for table in ["teams", "messages", "positions"].into_iter().chain((statements.len() > 2).then_some("stars"))
            {
                assert!(!has_table(&url, table).await, "{table}");
            }
            assert!(has_table(&url, "meta").await);
            running.end().await;
        })
        .await;
    }
}

async fn has_table(url: &str, table: &str) -> bool {
    use sqlx::{AssertSqlSafe, Connection, MySqlConnection, SqliteConnection};
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    if url.starts_with("mysql") {
        sqlx::query(sql).execute(&mut MySqlConnection::connect(url).await.unwrap()).await.is_ok()
    } else {
        sqlx::query(sql).execute(&mut SqliteConnection::connect(url).await.unwrap()).await.is_ok()
    }
}

#[tokio::test]
async fn rows_of_it_are_not_touched() {
    on_each(|house, url| async move {
        lived(&house, &[&url]).await;
        by_hand(&url, "UPDATE meta SET value = 'ffff' WHERE name = 'schema'").await;
        by_hand(&url, "DELETE FROM positions").await;
        by_hand(&url, "UPDATE people SET idx = 77 WHERE idx = 0").await;
        let shards = shard(vec![url.clone()]);
        let mut batch = teamlog_projectors::Batch::default();
        batch.extend(source(Topic::Events), Position::START, house.entries(source(Topic::Events)).await);
        let refused = shards.projectors()[0].apply(&batch).await;
        let other = refused.as_ref().unwrap_err().other_schema();
        assert!(other.is_some_and(|other| other.found.as_deref() == Some("ffff")), "{refused:?}");
        assert_eq!(statement(&url, "UPDATE people SET idx = 0 WHERE idx = 77").await, 1);
        assert!(lowest_positions(&shards.projectors(), soon_enough()).await.is_empty());
    })
    .await;
}

fn soon_enough() -> std::time::Duration {
    std::time::Duration::from_secs(5)
}

#[tokio::test]
async fn another_replica_answers_in_its_stead() {
    on_each(|house, url| async move {
        let near = format!("sqlite://{}", house.dir.path().join("near.db").display());
        let end = lived(&house, &[&near, &url]).await;
        by_hand(&near, "DELETE FROM meta WHERE name = 'schema'").await;
        let running = Running::new(&house, &[&near, &url]);
        running.status(0, |status| status.progress.needs_rebuild).await;
        for _ in 0..20 {
            let at = running.shards.team("s1", team()).await.unwrap();
            assert!(at.rows.is_some() && at.position.offset == end, "{at:?}");
        }
        let both = running.runner.status();
        assert!(!both[1].progress.needs_rebuild && both[1].progress.failing.is_none(), "{both:?}");
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_generation_of_another_version_stops_a_view_that_runs() {
    on_each(|house, url| async move {
        lived(&house, &[&url]).await;
        let running = Running::new(&house, &[&url]);
        let other = replicas(&running.shards).remove(0);
        soon(other.rebuild(&running.feed, false)).await.unwrap();
        let built = if let Some(file) = url.strip_prefix("sqlite://") {
            format!("sqlite://{file}.g1")
        } else {
            format!("{url}_g1")
        };
        by_hand(&built, "UPDATE meta SET value = 'ffff' WHERE name = 'schema'").await;
        let refused = soon(other.switch(&running.feed)).await;
        assert!(refused.as_ref().unwrap_err().other_schema().is_some(), "{refused:?}");
        // As the other version does it.
        by_hand(&url, "DELETE FROM meta WHERE name = 'built'").await;
        statement(&url, "INSERT INTO meta (name, value) VALUES ('generation', '1')").await;
        running.status(0, |status| status.progress.needs_rebuild).await;
        assert_eq!(running.shards.team("s1", team()).await.unwrap().position, Position::START);
        let rebuilt = soon(other.rebuild(&running.feed, true)).await.unwrap();
        assert_eq!((rebuilt.before, rebuilt.generation), (1, 2));
        running.status(0, |status| !status.progress.needs_rebuild).await;
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_view_that_a_crash_left_half_made_is_not_another_one() {
    on_each(|house, url| async move {
        let end = lived(&house, &[&url]).await;
        // The fingerprint is there, and a few of the tables.
        for table in ["DROP TABLE positions", "DROP TABLE teams", "DROP TABLE write_keys"] {
            statement(&url, table).await;
        }
        for rows in ["DELETE FROM people", "DELETE FROM conversations", "DELETE FROM members", "DELETE FROM closed"] {
            statement(&url, rows).await;
        }
        let running = Running::new(&house, &[&url]);
        soon(running.runner.wait_for("shard s1", source(Topic::Events), end)).await.unwrap();
        assert!(running.shards.team("s1", team()).await.unwrap().rows.is_some());
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_index_of_another_version_is_rebuilt_while_it_is_asked() {
    for found in [None, Some("ffff")] {
        let house = House::new().await;
        let dir = house.dir.path().join("search");
        let end = house.append(source(Topic::Events), life("s1").iter().map(|event| &**event)).await;
        let start = |search: &Search| {
            let stop = CancellationToken::new();
            let feed = house.feed(&stop);
            let runner = Runner::new(feed.clone(), stop.clone());
            runner.start(search.projector([source(Topic::Events).partition]));
            (feed, runner, stop)
        };
        {
            let (_, runner, stop) = start(&Search::open(&dir).unwrap());
            soon(runner.wait_for("search", source(Topic::Events), end)).await.unwrap();
            stop.cancel();
            soon(runner.stopped()).await;
        }
        let print = dir.join("v1/teamlog.schema");
        match found {
            Some(text) => std::fs::write(&print, text).unwrap(),
            None => std::fs::remove_file(&print).unwrap(),
        }
        let search = Search::open(&dir).unwrap();
        let (feed, runner, stop) = start(&search);
        soon(feed.wait_for(source(Topic::Events), end)).await.unwrap();
        let ask = async || search.query(&feed, source(Topic::Events).partition, words("edited")).await;
        let why = ask().await.unwrap_err();
        assert!(
            matches!(&why, SearchError::OtherSchema(OtherSchema { view, found: seen, .. })
            if view == "search" && seen.as_deref() == found),
            "{why}"
        );
        assert!(why.to_string().contains("run `teamlog view rebuild \"search\"`"), "{why}");
        let needs_rebuild = || runner.status()[0].progress.needs_rebuild;
        soon(async {
            while !needs_rebuild() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        let replica = View::Search(dir, crate::house::PARTITIONS).replicas().remove(0);
        assert!(replica.positions().await.unwrap_err().other_schema().is_some());
        let rebuilt = soon(replica.rebuild(&feed, true)).await.unwrap();
        assert!(rebuilt.differed.is_none() && rebuilt.generation == 1);
        soon(async {
            while needs_rebuild() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(ask().await.unwrap().total, 1);
        assert_eq!(soon(replica.verify(&feed, None, house.dir.path())).await.unwrap().differing, 0);
        stop.cancel();
        soon(runner.stopped()).await;
    }
}
