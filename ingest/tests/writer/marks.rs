//! Read marks of somebody whom two nodes have in memory, as while a team's home moves: the one that was set later stays.

use std::sync::atomic::AtomicI64;

use super::{odd_log::Fate, *};

/// More than twice as long as marks are gathered.
const FLUSHED: Duration = Duration::from_secs(5);

/// A node whose clock stands where the test puts it.
struct Home {
    node: Node,
    log: Arc<OddLog>,
    clock: Arc<AtomicI64>,
}

impl Home {
    fn start(log: &Arc<FaultyLog>, writing: Writing) -> Home {
        let (log, clock) = (OddLog::over(log), Arc::new(AtomicI64::new(1)));
        let now = clock.clone();
        let now = Clock::new(move || Ts::from_micros(now.load(Ordering::Relaxed)));
        Home { node: Node::writing(log.clone(), now, Random::system(), writing), log, clock }
    }
}

/// The home that a team had, and the one that it has.
struct Two {
    log: Arc<FaultyLog>,
    old: Home,
    new: Home,
    team: TeamId,
    ada: UserId,
    general: ConversationId,
}

impl Two {
    async fn start() -> Two {
        let log = FaultyLog::plain(PARTITIONS);
        let nobody = watch::channel(Arc::new(Membership::of(Uuid::nil(), Vec::new()))).1;
        let [old, new] =
            [Writing::alone(Uuid::new_v4()), Writing::Here(nobody)].map(|writing| Home::start(&log, writing));
        let (team, ada, general) = make_team(&old.node, "acme").await;
        let end = log.end(TopicPartition::DIRECTORY).await.unwrap();
        new.node.ingest.directory().wait_for(end).await.unwrap();
        Two { log, old, new, team, ada, general }
    }

    /// Marks when the clock there says so.
    async fn mark(&self, home: &Home, at: i64, ts: i64) {
        home.clock.store(at, Ordering::Relaxed);
        home.node.ingest.marks().mark(self.team, self.ada, self.general, Ts::from_micros(ts)).await.unwrap();
    }

    /// How far a node says that has been read.
    async fn shown(&self, home: &Home) -> i64 {
        let state = home.node.ingest.marks().user(self.team, self.ada).await.unwrap();
        state.mark(self.general).micros()
    }

    /// Returns the marks in the log: when each was set, and its `ts`.
    fn written(&self) -> Vec<(i64, i64)> {
        let partition = Partition(self.old.node.ingest.directory().by_team(self.team).unwrap().partition);
        let records = self.log.records(TopicPartition { topic: Topic::Marks, partition });
        let said = |record: &Record| match Event::decode(record.value.as_deref().unwrap()).unwrap() {
            Event::ReadMarked(mark) => (mark.meta.at.micros(), mark.ts.micros()),
            other => panic!("{other:?}"),
        };
        records.iter().map(said).collect()
    }

    /// That this lies in the log comes to be and stays so, and both nodes say what it says last.
    async fn stays(&self, wanted: &[(i64, i64)]) {
        until(async || self.written().len() >= wanted.len()).await;
        time_passes(FLUSHED).await;
        assert_eq!(self.written(), wanted);
        let last = wanted.last().unwrap().1;
        assert_eq!((self.shown(&self.old).await, self.shown(&self.new).await), (last, last));
    }
}

#[tokio::test(start_paused = true)]
async fn marks_that_the_log_did_not_take_are_written_later() {
    let two = Two::start().await;
    two.old.log.marks.send_replace(Fate::Refused);
    two.mark(&two.old, 10, 1).await;
    time_passes(FLUSHED).await;
    assert_eq!(two.written(), []);
    two.old.log.marks.send_replace(Fate::Written);
    two.stays(&[(10, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_waits_gives_way_to_one_that_was_set_later_elsewhere() {
    let two = Two::start().await;
    two.old.log.marks.send_replace(Fate::Refused);
    two.mark(&two.old, 10, 1).await;
    two.mark(&two.new, 20, 2).await;
    until(async || two.shown(&two.old).await == 2).await;
    two.old.log.marks.send_replace(Fate::Written);
    two.stays(&[(20, 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_waits_stays_if_it_was_set_later_and_says_when_it_was() {
    let two = Two::start().await;
    two.old.log.marks.send_replace(Fate::Refused);
    two.mark(&two.old, 20, 2).await;
    two.mark(&two.new, 10, 1).await;
    until(async || two.written() == [(10, 1)]).await;
    assert_eq!(two.shown(&two.old).await, 2);
    two.old.clock.store(99, Ordering::Relaxed);
    two.old.log.marks.send_replace(Fate::Written);
    two.stays(&[(10, 1), (20, 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_written_again_if_an_older_one_comes_into_the_log_behind_it() {
    let two = Two::start().await;
    two.old.log.marks.send_replace(Fate::InFlight);
    two.mark(&two.old, 10, 1).await;
    time_passes(FLUSHED).await;
    two.mark(&two.new, 20, 2).await;
    until(async || two.written() == [(20, 2)]).await;
    two.old.log.marks.send_replace(Fate::Written);
    two.stays(&[(20, 2), (10, 1), (20, 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_whose_append_failed_is_not_kept_if_a_later_one_came_meanwhile() {
    let two = Two::start().await;
    two.old.log.marks.send_replace(Fate::InFlight);
    two.mark(&two.old, 10, 1).await;
    time_passes(FLUSHED).await;
    two.mark(&two.new, 20, 2).await;
    until(async || two.shown(&two.old).await == 2).await;
    two.old.log.marks.send_replace(Fate::Refused);
    time_passes(FLUSHED).await;
    two.old.log.marks.send_replace(Fate::Written);
    two.stays(&[(20, 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_later_than_those_that_its_node_has_read_whatever_the_clocks_say() {
    let two = Two::start().await;
    two.mark(&two.new, 20, 2).await;
    until(async || two.shown(&two.old).await == 2).await;
    two.mark(&two.old, 10, 1).await;
    two.stays(&[(20, 2), (21, 1)]).await;
}
