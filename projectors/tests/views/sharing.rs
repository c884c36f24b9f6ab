//! Several runners of one view: each with its share of the sources, and for a while with the same.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use teamlog_log::{Feed, Offset, Partition, Position, Topic, TopicPartition};
use teamlog_projectors::{Batch, ProjectError, Projector, Runner, Shards, View, WaitError};
use teamlog_schemas::{Event, TeamId, partition_of};
use tokio::sync::{Barrier, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    events::*,
    house::{House, PARTITIONS, on_each, shard, soon, source},
};

/// The only view of these tests.
const VIEW: &str = "shard s1";

/// A projector that counts what it is given.
struct Watched {
    inner: Arc<dyn Projector>,
    /// The first batch waits there.
    meets: Arc<Barrier>,
    met: AtomicUsize,
    applied: Mutex<HashMap<TopicPartition, usize>>,
    contended: AtomicUsize,
}

#[async_trait]
impl Projector for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn replica(&self) -> &str {
        self.inner.replica()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        self.inner.sources()
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError> {
        self.inner.positions().await
    }

    async fn generation(&self) -> Result<u32, ProjectError> {
        self.inner.generation().await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        if self.met.fetch_add(1, SeqCst) == 0 {
            self.meets.wait().await;
        }
        let done = self.inner.apply(batch).await;
        match &done {
            Ok(()) => batch.moved.keys().for_each(|source| *self.applied.lock().entry(*source).or_default() += 1),
            Err(why) if why.is_contention() => drop(self.contended.fetch_add(1, SeqCst)),
            Err(_) => {}
        }
        done
    }
}

/// A simulated process, with its own connections, feed and runner.
struct Node {
    shards: Shards,
    watched: Arc<Watched>,
    runner: Runner,
    mine: watch::Sender<BTreeSet<TopicPartition>>,
    feed: Feed<Event>,
    stop: CancellationToken,
}

impl Node {
    fn start(house: &House, url: &str, mine: BTreeSet<TopicPartition>, meets: &Arc<Barrier>) -> Node {
        let (shards, stop, mine) = (shard(vec![url.to_owned()]), CancellationToken::new(), watch::Sender::new(mine));
        let feed = house.feed(&stop);
        let runner = Runner::new(feed.clone(), stop.clone());
        let watched = Arc::new(Watched {
            inner: shards.projectors().remove(0),
            meets: meets.clone(),
            met: AtomicUsize::new(0),
            applied: Mutex::default(),
            contended: AtomicUsize::new(0),
        });
        runner.start_shared(watched.clone(), mine.subscribe());
        Node { shards, watched, runner, mine, feed, stop }
    }

    async fn reach(&self, source: TopicPartition, end: Offset) {
        soon(self.runner.wait_for(VIEW, source, end)).await.unwrap();
    }

    fn applied(&self, source: TopicPartition) -> usize {
        self.watched.applied.lock().get(&source).copied().unwrap_or_default()
    }

    fn contended(&self) -> usize {
        self.watched.contended.load(SeqCst)
    }

    /// Returns the sources in the node's status, once it follows `count` of them.
    async fn followed(&self, count: usize) -> Vec<TopicPartition> {
        soon(async {
            loop {
                let status = self.runner.status().remove(0);
                if status.sources.len() == count && status.progress.positions.len() == count {
                    assert!(status.progress.positions.keys().eq(&status.sources));
                    return status.sources;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    async fn check(&self, house: &House) {
        let replica = View::Shard(self.shards.clone(), "s1".into()).replicas().remove(0);
        let verified = soon(replica.verify(&self.feed, None, house.dir.path())).await.unwrap();
        assert_eq!(verified.differences, []);
        assert!(verified.rows > 40);
    }

    async fn end(self) {
        self.stop.cancel();
        soon(self.runner.stopped()).await;
    }
}

/// A subscriber that collects this project's warnings and errors.
#[derive(Clone, Default)]
struct Warned(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warned {
    fn enabled(&self, of: &tracing::Metadata<'_>) -> bool {
        *of.level() <= tracing::Level::WARN && of.target().starts_with("teamlog")
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Words(String);
        impl tracing::field::Visit for Words {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}: {value:?} ");
            }
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        self.0.lock().push(words.0);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn all() -> BTreeSet<TopicPartition> {
    let topics = [Topic::Events, Topic::Marks, Topic::Credentials];
    let of = |partition| topics.map(|topic| TopicPartition { topic, partition: Partition(partition) });
    (0..PARTITIONS).flat_map(of).collect()
}

/// The life of a team of the other partition, whose rows lie beside those of the first one.
fn other_life() -> (TopicPartition, Vec<Event>) {
    let here = source(Topic::Events).partition;
    let lies_elsewhere = |id: &TeamId| partition_of(*id, PARTITIONS) != here.0;
    let other = ('A'..='Z').map(|last| format!("T0ACM{last}").parse().unwrap()).find(lies_elsewhere).unwrap();
    let (old, new) = (team().to_string(), other.to_string());
    let moved = |event: &Event| {
        let mut bytes = event.encode().unwrap().to_vec();
        while let Some(at) = bytes.windows(old.len()).position(|window| window == old.as_bytes()) {
            bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        }
        Event::decode(&bytes).unwrap()
    };
    let events = life("s1").iter().map(|event| moved(event)).collect();
    (TopicPartition::events(Partition(partition_of(other, PARTITIONS))), events)
}

#[tokio::test]
async fn two_that_both_follow_everything_do_no_harm() {
    let warned = Warned::default();
    let _guard = tracing::subscriber::set_default(warned.clone());
    on_each(|house, url| async move {
        let (events, life) = (source(Topic::Events), life("s1"));
        let mut end = house.append(events, life[..9].iter().map(|event| &**event)).await;
        // SQLite does not let two at once make a file.
        shard(vec![url.clone()]).projectors()[0].positions().await.unwrap();
        let meets = Arc::new(Barrier::new(2));
        let nodes = [(); 2].map(|()| Node::start(&house, &url, all(), &meets));
        for piece in life[9..].chunks(3) {
            nodes[0].reach(events, end).await;
            nodes[1].reach(events, end).await;
            end = house.append(events, piece.iter().map(|event| &**event)).await;
        }
        let marked = [marks(bob(), general(), 11), marks(ada(), random(), 13)];
        let marked = house.append(source(Topic::Marks), &marked).await;
        for node in &nodes {
            node.reach(events, end).await;
            node.reach(source(Topic::Marks), marked).await;
        }
        assert!(nodes[0].contended() + nodes[1].contended() > 0, "both began at the same place");
        nodes[0].check(&house).await;
        for node in nodes {
            assert_eq!(node.runner.status()[0].progress.failing, None);
            node.end().await;
        }
    })
    .await;
    assert_eq!(*warned.0.lock(), Vec::<String>::new(), "losing the race is nothing to look at");
}

#[tokio::test]
async fn neighbours_in_the_same_tables_do_not_meet() {
    let warned = Warned::default();
    let _guard = tracing::subscriber::set_default(warned.clone());
    on_each(|house, url| async move {
        shard(vec![url.clone()]).projectors()[0].positions().await.unwrap();
        let meets = Arc::new(Barrier::new(2));
        let (here, (there, other)) = (source(Topic::Events), other_life());
        let nodes = [here, there].map(|mine| Node::start(&house, &url, BTreeSet::from([mine]), &meets));
        // One event at a time, so that the two are often at it together.
        let mut ends = (Offset::ZERO, Offset::ZERO);
        for (one, another) in life("s1").iter().zip(&other) {
            ends.0 = house.append(here, [&**one]).await;
            ends.1 = house.append(there, [another]).await;
            tokio::join!(nodes[0].reach(here, ends.0), nodes[1].reach(there, ends.1));
        }
        assert_eq!((nodes[0].contended(), nodes[1].contended()), (0, 0));
        assert_eq!((nodes[0].applied(there), nodes[1].applied(here)), (0, 0));
        nodes[1].check(&house).await;
        for node in nodes {
            node.end().await;
        }
    })
    .await;
    assert_eq!(*warned.0.lock(), Vec::<String>::new());
}

#[tokio::test]
async fn a_source_goes_from_one_to_the_other() {
    on_each(|house, url| async move {
        shard(vec![url.clone()]).projectors()[0].positions().await.unwrap();
        let meets = Arc::new(Barrier::new(1));
        let (events, life) = (source(Topic::Events), life("s1"));
        let rest: BTreeSet<_> = all().into_iter().filter(|source| *source != events).collect();
        let first = Node::start(&house, &url, BTreeSet::from([events]), &meets);
        let second = Node::start(&house, &url, rest.clone(), &meets);
        let end = house.append(events, life[..20].iter().map(|event| &**event)).await;
        first.reach(events, end).await;
        assert_eq!(first.followed(1).await, [events]);
        assert!(second.followed(rest.len()).await.iter().eq(&rest), "what another one follows does not lag here");
        assert_eq!((first.runner.positions(VIEW, events).len(), second.runner.positions(VIEW, events).len()), (1, 0));
        let nowhere = second.runner.wait_for(VIEW, events, end).await;
        assert!(matches!(nowhere, Err(WaitError::NotRun { .. })), "{nowhere:?}");

        // A wait for a source ends with an error when the source is assigned elsewhere.
        let (waits, waiting) = (first.runner.clone(), Offset(u64::MAX));
        let waits = tokio::spawn(async move { waits.wait_for(VIEW, events, waiting).await });
        first.mine.send_replace(BTreeSet::new());
        assert!(matches!(soon(waits).await.unwrap(), Err(WaitError::NotRun { .. })));
        assert!(first.followed(0).await.is_empty());
        let applied = first.applied(events);
        let end = house.append(events, life[20..30].iter().map(|event| &**event)).await;
        second.feed.wait_for(events, end).await.unwrap();
        let began = Instant::now();
        second.mine.send_replace(all());
        second.reach(events, end).await;
        eprintln!("taken over and caught up in {:?}", began.elapsed());
        assert!(second.followed(all().len()).await.contains(&events));

        // And back, with more to do; a set that says the same of this view changes nothing.
        second.mine.send_replace(rest.clone());
        second.followed(rest.len()).await;
        let end = house.append(events, life[30..].iter().map(|event| &**event)).await;
        assert_eq!(first.applied(events), applied, "nobody followed it");
        first.mine.send_replace(BTreeSet::from([events, TopicPartition::DIRECTORY]));
        first.reach(events, end).await;
        assert_eq!(first.followed(1).await, [events]);
        first.check(&house).await;
        first.end().await;
        second.end().await;
    })
    .await;
}
