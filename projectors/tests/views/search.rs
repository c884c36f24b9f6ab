//! Search: what was committed and the tail behind it, stopped and started again.

use std::{path::Path, sync::Arc};

use teamlog_log::{Feed, Offset, Position, Topic};
use teamlog_projectors::{
    Batch, MatchOrder, Matches, MessageQuery, ProjectError, Projector, Runner, Search, SearchError, SearchProjector,
};
use teamlog_schemas::*;
use tokio_util::sync::CancellationToken;

use crate::{
    events::*,
    house::{House, soon, source},
};

/// Where the messages are when somebody looks for them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    /// All committed.
    Index,
    /// Nothing was projected yet.
    Tail,
    /// The first so many events committed, the rest in the tail.
    Both(usize),
}

struct Index {
    house: House,
    feed: Feed<Event>,
    stop: CancellationToken,
    search: Search,
    projector: Arc<SearchProjector>,
}

impl Drop for Index {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn open(house: &House) -> (Search, Arc<SearchProjector>) {
    let search = Search::open(&house.dir.path().join("search")).unwrap();
    let projector = search.projector([source(Topic::Events).partition]);
    (search, projector)
}

impl Index {
    async fn new() -> Index {
        let house = House::new().await;
        let stop = CancellationToken::new();
        let (feed, (search, projector)) = (house.feed(&stop), open(&house));
        Index { house, feed, stop, search, projector }
    }

    async fn of(events: &[Event], place: Where) -> Index {
        let index = Index::new().await;
        let committed = match place {
            Where::Index => events.len(),
            Where::Tail => 0,
            Where::Both(committed) => committed,
        };
        index.append(&events[..committed]).await;
        if committed > 0 {
            index.project().await;
            index.projector.commit().await.unwrap();
        }
        index.append(&events[committed..]).await;
        index
    }

    async fn append(&self, events: &[Event]) {
        if !events.is_empty() {
            let end = self.house.append(source(Topic::Events), events).await;
            soon(self.feed.wait_for(source(Topic::Events), end)).await.unwrap();
        }
    }

    /// Applies all that is in the log and was not applied, as the runner would.
    async fn project(&self) {
        let from = self.projector.positions().await.unwrap();
        let from = from.get(&source(Topic::Events)).copied().unwrap_or(Position::START);
        let entries = self.feed.scan(source(Topic::Events), from).await.unwrap();
        let mut batch = Batch::default();
        batch.extend(source(Topic::Events), from, entries);
        self.projector.apply(&batch).await.unwrap();
    }

    /// As another process would, after this one was killed. The old one is let go first, for it may hold the lock.
    fn reopen(&mut self) {
        let elsewhere = tempfile::tempdir().unwrap();
        self.search = Search::open(elsewhere.path()).unwrap();
        self.projector = self.search.projector([]);
        (self.search, self.projector) = open(&self.house);
    }

    fn committed(&self) -> Offset {
        self.search.committed(source(Topic::Events).partition).offset
    }

    async fn found(&self, query: MessageQuery) -> Matches {
        soon(self.search.query(&self.feed, source(Topic::Events).partition, query)).await.unwrap()
    }

    /// Where in time the matches are, newest first, after the total was checked. In more conversations, of which the others
    /// are empty, they are the same.
    #[track_caller]
    fn check(&self, query: MessageQuery, expected: &[i64]) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let mut among_many = query.clone();
            among_many.conversations.extend(empty());
            for query in [query, among_many] {
                let said = format!("{place}: {query:?}");
                let found = self.found(query).await;
                let micros: Vec<i64> = found.hits.iter().map(|hit| hit.ts.micros() - ts(0).micros()).collect();
                assert_eq!((micros.as_slice(), found.total), (expected, expected.len()), "{said}");
            }
        }
    }
}

/// Conversations in which nobody says anything: more than are looked up in the index.
fn empty() -> impl Iterator<Item = ConversationId> {
    (10..20).map(|number| format!("C0EMPTY{number}").parse().unwrap())
}

pub(crate) fn words(words: &str) -> MessageQuery {
    MessageQuery {
        team: team(),
        words: words.to_owned(),
        conversations: vec![general(), random(), direct()],
        from: None,
        has: Vec::new(),
        after: Ts::ZERO,
        before: Ts::MAX,
        order: MatchOrder::Newest,
        skip: 0,
        count: 100,
    }
}

fn says(user: UserId, conversation: ConversationId, at: i64, text: &str) -> Event {
    posts(conversation, Message { text: text.into(), ..message(user, at) }).into()
}

fn edits(before: i64, text: &str, at: i64) -> Event {
    let (before, conversation) = (message(ada(), before), general());
    let after = Message { text: text.into(), ..before.clone() };
    MessageEdited { meta: meta(ada(), at), conversation, before, after }.into()
}

/// A conversation about a release; events 0 to 9.
fn talk() -> Vec<Event> {
    let reply = Message { text: "release notes: Release notes RELEASE".into(), ..reply(bob(), 14, 10) };
    let attached = Message {
        attachments: Some(r#"[{"title":"Build 7","fallback":"Build 7","fields":[{"value":"green & merry"}]}]"#.into()),
        text: "".into(),
        ..message(ada(), 15)
    };
    vec![
        created("s1"),
        joins(general(), &[bob(), cy()], 2),
        says(ada(), general(), 10, "The release is on Friday"),
        says(bob(), random(), 11, "is the café open on Friday? https://cafe.example"),
        says(cy(), secret(), 12, "release the secret plan"),
        says(bob(), direct(), 13, "on the release Friday, 東京 🦉"),
        posts(general(), reply).into(),
        posts(random(), attached).into(),
        reacts(bob(), 10, "tada", 16),
        says(ada(), general(), 17, "a-b &amp; c"),
    ]
}

/// Runs a test with the messages in the index, in the tail, and in both: the answers must be equal.
async fn everywhere(test: impl AsyncFn(Index)) {
    for place in [Where::Index, Where::Tail, Where::Both(4), Where::Both(8)] {
        eprintln!("{place:?}");
        test(Index::of(&talk(), place).await).await;
    }
}

#[tokio::test]
async fn words_and_phrases_are_found() {
    everywhere(async |index| {
        index.check(words("friday"), &[13, 11, 10]).await;
        index.check(words("FRIDAY release"), &[13, 10]).await;
        index.check(words("cafe"), &[11]).await;
        index.check(words("\"release is on\""), &[10]).await;
        index.check(words("\"on friday\""), &[11, 10]).await;
        index.check(words("on -\"on friday\""), &[13]).await;
        index.check(words("-friday"), &[17, 15, 14]).await;
        index.check(words("東京"), &[13]).await;
        index.check(words("🦉"), &[13]).await;
        index.check(words("merry build"), &[15]).await;
        index.check(words("\"7 green\""), &[]).await;
        index.check(words("a-b"), &[17]).await;
        index.check(words("b-a"), &[]).await;
        index.check(words("amp"), &[]).await;
        index.check(words("nowhere"), &[]).await;
        index.check(words("&"), &[]).await;
        index.check(words(""), &[17, 15, 14, 13, 11, 10]).await;
        // What the conversation itself says is not found.
        index.check(words("joined"), &[]).await;
    })
    .await;
}

#[tokio::test]
async fn a_phrase_that_must_not_be_there_leaves_out_itself_alone() {
    // Whatever the order in which the index has them: that of a commit is any.
    for excluded in 0..6 {
        let said = |at: i64| if at == excluded { "the old plan" } else { "plan the old" };
        let mut events = vec![created("s1")];
        events.extend((0..6).map(|at| says(ada(), general(), 10 + at, said(at))));
        let index = Index::of(&events, Where::Index).await;
        let expected: Vec<i64> = (0..6).rev().filter(|at| *at != excluded).map(|at| 10 + at).collect();
        index.check(words("plan -\"old plan\""), &expected).await;
        index.check(words("-\"old plan\""), &expected).await;
        index.check(words("-\"old plan\" -\"plan the\""), &[]).await;
    }
}

#[tokio::test]
async fn filters_narrow_what_is_found() {
    everywhere(async |index| {
        index.check(MessageQuery { conversations: vec![random()], ..words("friday") }, &[11]).await;
        index.check(MessageQuery { conversations: vec![], ..words("friday") }, &[]).await;
        index.check(MessageQuery { from: Some(bob()), ..words("") }, &[14, 13, 11]).await;
        index.check(MessageQuery { after: ts(11), before: ts(13), ..words("friday") }, &[11]).await;
        index.check(MessageQuery { after: ts(13), before: ts(13), ..words("friday") }, &[]).await;
        let has = |what: &str| MessageQuery { has: vec![what.to_owned()], ..words("") };
        index.check(has("link"), &[11]).await;
        index.check(has("thread"), &[14]).await;
        index.check(has("reaction"), &[10]).await;
        index.check(has(":tada:"), &[10]).await;
        index.check(has(":wave:"), &[]).await;
        index.check(has("star"), &[]).await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_found_where_the_reader_may_not_look() {
    everywhere(async |index| {
        index.check(words("release"), &[14, 13, 10]).await;
        index.check(words("secret"), &[]).await;
        index.check(MessageQuery { conversations: vec![secret()], ..words("release") }, &[12]).await;
        index.check(MessageQuery { team: "T0OTHER".parse().unwrap(), ..words("release") }, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn the_best_comes_first_and_pages_do_not_overlap() {
    everywhere(async |index| {
        let best = MessageQuery { order: MatchOrder::Score, ..words("release") };
        index.check(best.clone(), &[14, 10, 13]).await;
        let scores: Vec<f32> = index.found(best.clone()).await.hits.iter().map(|hit| hit.score).collect();
        assert!(scores[0] > scores[1] && scores[2] > 0.0, "{scores:?}");
        index.check(MessageQuery { order: MatchOrder::Oldest, ..words("release") }, &[10, 13, 14]).await;
        for order in [MatchOrder::Score, MatchOrder::Newest, MatchOrder::Oldest] {
            let all = index.found(MessageQuery { order, ..words("") }).await;
            let mut paged = Vec::new();
            for skip in [0, 2, 4, 6] {
                let page = index.found(MessageQuery { order, skip, count: 2, ..words("") }).await;
                assert_eq!(page.total, 6);
                paged.extend(page.hits);
            }
            assert_eq!(paged, all.hits, "{order:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn edits_deletions_and_reactions_are_as_they_are_now() {
    let changes = [
        edits(10, "The launch is on Monday", 20),
        deletes(Message { text: "a-b &amp; c".into(), ..message(ada(), 17) }, false, None, 21),
        reacts(cy(), 17, "wave", 22),
        reacts(bob(), 14, "eyes", 23),
        unreacts(bob(), 14, "eyes", 24),
        reacts(cy(), 14, "eyes", 25),
        deletes(reply(bob(), 14, 10), true, None, 26),
        edits(14, "is not there any more", 27),
        says(ada(), general(), 28, "one more release"),
        edits(28, "one more launch", 29),
    ];
    let events: Vec<Event> = talk().into_iter().chain(changes).collect();
    let places = (4..events.len()).map(Where::Both).chain([Where::Index, Where::Tail]);
    for place in places {
        eprintln!("{place:?}");
        let index = Index::of(&events, place).await;
        let check = async || {
            index.check(words("release"), &[13]).await;
            index.check(words("launch"), &[28, 10]).await;
            index.check(words("monday"), &[10]).await;
            index.check(words("more"), &[28]).await;
            index.check(words("a-b"), &[]).await;
            // The edit left the reaction where it was.
            index.check(MessageQuery { has: vec![":tada:".into()], ..words("launch") }, &[10]).await;
            index.check(MessageQuery { has: vec!["reaction".into()], ..words("") }, &[10]).await;
        };
        check().await;
        // Once all is committed, nothing is there twice.
        index.project().await;
        check().await;
        index.projector.commit().await.unwrap();
        check().await;
    }
}

#[tokio::test]
async fn an_imported_message_is_found_once_with_its_reactions() {
    let reactions = vec![Reaction { name: "heart".into(), users: vec![ada(), bob()] }];
    let events = [created("s1"), imports(-500, None, reactions), imports(-500, None, vec![])];
    for place in [Where::Tail, Where::Both(2), Where::Index] {
        let index = Index::of(&events[..2], place).await;
        let has = MessageQuery { conversations: vec![old()], has: vec![":heart:".into()], ..words("\"at -500\"") };
        index.check(has.clone(), &[-500]).await;
        index.append(&events[2..]).await;
        index.check(MessageQuery { has: vec![], ..has.clone() }, &[-500]).await;
        index.check(has, &[]).await;
    }
}

#[tokio::test]
async fn an_index_goes_on_from_its_committed_position() {
    let mut index = Index::of(&talk()[..6], Where::Index).await;
    let committed = index.committed();
    index.append(&talk()[6..8]).await;
    index.project().await;
    assert_eq!(index.committed(), committed);
    // A crash: what was applied and not committed is read again.
    for _ in 0..2 {
        index.reopen();
        assert_eq!(index.committed(), committed);
        index.check(words("release"), &[14, 13, 10]).await;
        index.project().await;
        index.check(words("release"), &[14, 13, 10]).await;
    }
    index.append(&talk()[8..]).await;
    index.projector.close().await;
    assert!(index.committed() > committed);
    index.check(words("release"), &[14, 13, 10]).await;
    index.check(words(""), &[17, 15, 14, 13, 11, 10]).await;
}

#[tokio::test]
async fn entries_that_do_not_follow_are_refused() {
    let index = Index::of(&talk(), Where::Index).await;
    let entries = index.house.entries(source(Topic::Events)).await;
    let mut batch = Batch::default();
    batch.extend(source(Topic::Events), entries[3].after, entries[4..].to_vec());
    let refused = index.projector.apply(&batch).await;
    assert!(matches!(&refused, Err(ProjectError::Search(SearchError::Overtaken(_)))), "{refused:?}");
    index.check(words("friday"), &[13, 11, 10]).await;
}

#[tokio::test]
async fn the_runner_projects_and_commits_when_it_stops() {
    let index = Index::of(&talk(), Where::Tail).await;
    let stop = CancellationToken::new();
    let runner = Runner::new(index.feed.clone(), stop.clone());
    runner.start(index.projector.clone());
    let end = index.feed.position(source(Topic::Events)).offset;
    soon(runner.wait_for("search", source(Topic::Events), end)).await.unwrap();
    index.check(words("friday"), &[13, 11, 10]).await;
    stop.cancel();
    soon(runner.stopped()).await;
    assert_eq!(index.committed(), end);
    index.check(words("friday"), &[13, 11, 10]).await;
}

#[tokio::test]
async fn a_broken_index_is_no_empty_one() {
    let index = Index::of(&talk(), Where::Index).await;
    let dir = index.house.dir.path().join("search");
    let meta = walk(&dir).expect("an index has a meta.json");
    std::fs::write(meta, "{").unwrap();
    assert!(matches!(Search::open(&dir), Err(SearchError::Index { .. })));
}

fn walk(dir: &Path) -> Option<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.map(|entry| entry.unwrap().path());
    entries.into_iter().find_map(
        |path| {
            if path.is_dir() { walk(&path) } else { path.ends_with("meta.json").then_some(path) }
        },
    )
}
