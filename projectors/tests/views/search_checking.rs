//! Verify and rebuild of the search index, with the runner running.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use teamlog_log::{Feed, Offset, Topic};
use teamlog_projectors::{
    Difference, MatchOrder, MessageQuery, OneTeam, Projector, Runner, Search, SearchProjector, Verified, VerifyError,
    View, ViewReplica,
};
use teamlog_schemas::*;
use tokio_util::sync::CancellationToken;

use crate::{
    events::*,
    house::{House, PARTITIONS, soon, source},
};

fn says(at: i64, text: &str) -> Event {
    posts(general(), Message { text: text.into(), ..message(ada(), at) }).into()
}

fn edits(at: i64, text: &str) -> Event {
    let (before, conversation) = (message(ada(), at), general());
    let after = Message { text: text.into(), ..before.clone() };
    MessageEdited { meta: meta(ada(), at + 50), conversation, before, after }.into()
}

fn talk() -> Vec<Event> {
    vec![
        created("s1"),
        says(10, "one fish"),
        says(11, "two fish"),
        says(12, "red fish"),
        edits(12, "blue fish"),
        reacts(bob(), 10, "tada", 14),
    ]
}

/// A log, and an index that was built from another history of the same length.
struct Rig {
    house: House,
    feed: Feed<Event>,
    stop: CancellationToken,
    search: Search,
    projector: Arc<SearchProjector>,
    replica: ViewReplica,
}

impl Rig {
    async fn new(log: Vec<Event>, index: Vec<Event>) -> Rig {
        let (house, elsewhere) = (House::new().await, House::new().await);
        let dir = house.dir.path().join("search");
        let search = Search::open(&dir).unwrap();
        let projector = search.projector([source(Topic::Events).partition]);
        elsewhere.append(source(Topic::Events), &index).await;
        let mut batch = teamlog_projectors::Batch::default();
        let entries = elsewhere.entries(source(Topic::Events)).await;
        batch.extend(source(Topic::Events), teamlog_log::Position::START, entries);
        projector.apply(&batch).await.unwrap();
        projector.commit().await.unwrap();
        let end = house.append(source(Topic::Events), &log).await;
        let stop = CancellationToken::new();
        let feed = house.feed(&stop);
        soon(feed.wait_for(source(Topic::Events), end)).await.unwrap();
        let replica = View::Search(dir, PARTITIONS).replicas().remove(0);
        Rig { house, feed, stop, search, projector, replica }
    }

    async fn verified(&self, team: Option<OneTeam>) -> Verified {
        soon(self.replica.verify(&self.feed, team, self.house.dir.path())).await.unwrap()
    }

    async fn differences(&self) -> Vec<String> {
        self.verified(None).await.differences.iter().map(Difference::to_string).collect()
    }

    async fn found(&self, words: &str) -> Vec<i64> {
        let query = MessageQuery {
            team: team(),
            words: words.to_owned(),
            conversations: vec![general()],
            from: None,
            has: Vec::new(),
            after: Ts::ZERO,
            before: Ts::MAX,
            order: MatchOrder::Oldest,
            skip: 0,
            count: 100,
        };
        let found = soon(self.search.query(&self.feed, source(Topic::Events).partition, query)).await.unwrap();
        found.hits.iter().map(|hit| hit.ts.micros() - ts(0).micros()).collect()
    }

    fn committed(&self) -> Offset {
        self.search.committed(source(Topic::Events).partition).offset
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_true_index_has_no_difference() {
    let rig = Rig::new(talk(), talk()).await;
    let verified = rig.verified(None).await;
    assert_eq!((verified.rows, verified.differences), (3, vec![]));
    assert_eq!(verified.positions[&source(Topic::Events)].offset, rig.committed());
    let left = std::fs::read_dir(rig.house.dir.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with("verify")));
}

#[tokio::test]
async fn documents_that_are_not_the_logs_are_named() {
    let mut index = talk();
    index[1] = says(10, "no fish");
    index[3] = says(13, "red fish");
    index[4] = edits(13, "blue fish");
    let rig = Rig::new(talk(), index).await;
    let place = |at: i64| format!("messages team = T0ACME, conversation = C0GENERAL, ts = {}", ts(at));
    let mut told = rig.differences().await;
    told.sort_unstable();
    let expected = [
        format!("{}: expected pieces = [\"one fish\"], found pieces = [\"no fish\"]", place(10)),
        format!("{}: is missing", place(12)),
        format!("{}: should not be there", place(13)),
    ];
    assert_eq!(told, expected);
    // Nothing of it is another team's.
    let other = OneTeam { team: "T0OTHER".parse().unwrap(), partition: source(Topic::Events).partition };
    assert_eq!(rig.verified(Some(other)).await.differing, 0);
}

#[tokio::test]
async fn damaged_files_are_named() {
    let rig = Rig::new(talk(), talk()).await;
    let file = store(&rig.house.dir.path().join("search/v1")).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[3] ^= 0x40;
    std::fs::write(&file, bytes).unwrap();
    let told = rig.differences().await;
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_eq!(told, [format!("files {name}: expected what was written, found other bytes")]);
}

fn store(dir: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "store"))
}

#[tokio::test]
async fn a_rebuilt_index_is_gone_over_to_while_it_is_asked() {
    let mut index = talk();
    index[1] = says(10, "no fish");
    let rig = Rig::new(talk(), index).await;
    let stop = CancellationToken::new();
    let runner = Runner::new(rig.feed.clone(), stop.clone());
    runner.start(rig.projector.clone());
    assert!(rig.found("one").await.is_empty());
    let rebuilt = soon(rig.replica.rebuild(&rig.feed, true)).await.unwrap();
    assert_eq!((rebuilt.before, rebuilt.generation, rebuilt.differed.as_ref().unwrap().differing), (0, 1, 1));
    assert_eq!(rig.found("one").await, [10]);
    assert!(!rig.house.dir.path().join("search/v1").exists(), "the old one is gone");
    // The runner goes on with the new one, and the next rebuild makes one beside it.
    let end = rig.house.append(source(Topic::Events), [&says(20, "one more")]).await;
    soon(runner.wait_for("search", source(Topic::Events), end)).await.unwrap();
    assert_eq!(rig.found("one").await, [10, 20]);
    rig.projector.commit().await.unwrap();
    assert_eq!(rig.committed(), end);
    assert_eq!(rig.differences().await, [""; 0]);
    let rebuilt = soon(rig.replica.rebuild(&rig.feed, false)).await.unwrap();
    assert_eq!((rebuilt.before, rebuilt.generation, rebuilt.differed.as_ref().unwrap().differing), (1, 2, 0));
    assert_eq!((rig.replica.generation().await.unwrap(), rig.replica.built().await.unwrap()), (1, Some(2)));
    soon(rig.replica.switch(&rig.feed)).await.unwrap();
    assert_eq!((rig.replica.generation().await.unwrap(), rig.replica.built().await.unwrap()), (2, None));
    // As a crash leaves it between the two steps of a switch: it must not take the current generation for the old one.
    std::fs::write(rig.house.dir.path().join("search/v1.built"), "2").unwrap();
    let switched = rig.replica.switch(&rig.feed).await.unwrap();
    assert_eq!((switched.generation, rig.replica.built().await.unwrap()), (2, None));
    assert_eq!(rig.verified(None).await.differing, 0);
    let nothing = rig.replica.switch(&rig.feed).await;
    assert!(matches!(nothing, Err(VerifyError::NotBuilt { .. })), "{nothing:?}");
    assert_eq!(rig.found("one").await, [10, 20]);
    stop.cancel();
    soon(runner.stopped()).await;
}

#[tokio::test]
async fn an_index_that_cannot_be_read_is_rebuilt() {
    let rig = Rig::new(talk(), talk()).await;
    let dir = rig.house.dir.path().join("search");
    std::fs::write(dir.join("v1/meta.json"), "{").unwrap();
    assert!(Search::open(&dir).is_err());
    assert!(matches!(rig.replica.positions().await, Err(VerifyError::Search(_))));
    let rebuilt = soon(rig.replica.rebuild(&rig.feed, true)).await.unwrap();
    assert_eq!((rebuilt.generation, rebuilt.differed.as_ref().unwrap().differing), (1, 1));
    assert_eq!(rebuilt.differed.as_ref().unwrap().differences[0].table, "index");
    let again = Search::open(&dir).unwrap();
    assert_eq!(again.committed(source(Topic::Events).partition), rig.feed.position(source(Topic::Events)));
    assert_eq!(rig.differences().await, [""; 0]);
}
