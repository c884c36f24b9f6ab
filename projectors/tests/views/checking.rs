//! Verify and rebuild, with the runner running.

use teamlog_log::{Offset, Topic, TopicPartition};
use teamlog_projectors::{Difference, OneTeam, Runner, Shards, VerifyError, View, ViewReplica};
use teamlog_schemas::Event;
use teamlog_state::TeamSource;
use tokio_util::sync::CancellationToken;

use crate::{
    events::*,
    house::{House, by_hand, on_each, shard, soon, source},
};

fn replica(shards: &Shards) -> ViewReplica {
    View::Shard(shards.clone(), "s1".into()).replicas().remove(0)
}

struct Running {
    shards: Shards,
    replica: ViewReplica,
    runner: Runner,
    stop: CancellationToken,
    feed: teamlog_log::Feed<Event>,
}

impl Running {
    /// The life, with marks and credentials, projected.
    async fn new(house: &House, url: &str) -> Running {
        let shards = shard(vec![url.to_owned()]);
        let life = life("s1");
        let end = house.append(source(Topic::Events), life.iter().map(|event| &**event)).await;
        let marked = [marks(bob(), general(), 11), marks(ada(), general(), 12), marks(bob(), random(), 13)];
        let marked = house.append(source(Topic::Marks), &marked).await;
        let stored = house.append(source(Topic::Credentials), [&stored(1, "aa"), &stored(2, "bb")]).await;
        let stop = CancellationToken::new();
        let feed = house.feed(&stop);
        let runner = Runner::new(feed.clone(), stop.clone());
        shards.projectors().into_iter().for_each(|projector| runner.start(projector));
        let replica = replica(&shards);
        let running = Running { shards, replica, runner, stop, feed };
        running.reach(source(Topic::Events), end).await;
        running.reach(source(Topic::Marks), marked).await;
        running.reach(source(Topic::Credentials), stored).await;
        running
    }

    async fn reach(&self, source: TopicPartition, offset: Offset) {
        soon(self.runner.wait_for("shard s1", source, offset)).await.unwrap();
    }

    async fn verify(&self, house: &House) -> Vec<Difference> {
        let verified = soon(self.replica.verify(&self.feed, None, house.dir.path())).await.unwrap();
        assert_eq!(verified.differing, verified.differences.len() as u64);
        assert!(verified.rows > 40);
        verified.differences
    }

    async fn end(self) {
        self.stop.cancel();
        soon(self.runner.stopped()).await;
    }
}

#[tokio::test]
async fn a_true_view_has_no_difference() {
    on_each(|house, url| async move {
        let running = Running::new(&house, &url).await;
        assert_eq!(running.verify(&house).await, []);
        let left = std::fs::read_dir(house.dir.path()).unwrap().map(|file| file.unwrap().file_name());
        assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with("verify")));
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn rows_changed_by_hand_are_named() {
    on_each(|house, url| async move {
        let running = Running::new(&house, &url).await;
        by_hand(&url, "UPDATE conversations SET ordinal = 99 WHERE name = 'general'").await;
        by_hand(&url, "DELETE FROM marks WHERE ts = (SELECT * FROM (SELECT MAX(ts) FROM marks) m)").await;
        by_hand(&url, "INSERT INTO members SELECT team, conversation, 7 FROM conversations WHERE name = 'general'")
            .await;
        by_hand(&url, "UPDATE credentials SET sealed = 'xx' WHERE sealed = 'bb'").await;
        let found = running.verify(&house).await;
        let told: Vec<String> = found.iter().map(Difference::to_string).collect();
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!(
            told[0],
            "conversations team = T0ACME, conversation = C0GENERAL: expected ordinal = 7, found ordinal = 99"
        );
        assert_eq!(told[1], "members team = T0ACME, conversation = C0GENERAL, person = 7: should not be there");
        assert_eq!(told[2], "marks team = T0ACME, person = U0BOB, conversation = C0RANDOM: is missing");
        assert!(told[3].ends_with("expected sealed = (sealed), found sealed = (sealed)"), "{}", told[3]);
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_says_what_differed_and_takes_over() {
    on_each(|house, url| async move {
        let running = Running::new(&house, &url).await;
        let good = format!("{:?}", running.shards.team("s1", team()).await.unwrap().rows.unwrap());
        by_hand(&url, "UPDATE people SET idx = 77 WHERE idx = 0").await;
        let rebuilt = soon(running.replica.rebuild(&running.feed, true)).await.unwrap();
        assert_eq!((rebuilt.before, rebuilt.generation, rebuilt.differed.as_ref().unwrap().differing), (0, 1, 1));
        assert!(rebuilt.switched);
        assert_eq!(rebuilt.differed.as_ref().unwrap().differences[0].table, "people");
        assert_eq!(format!("{:?}", running.shards.team("s1", team()).await.unwrap().rows.unwrap()), good);
        // The runner goes on with the new one.
        let end = house.append(source(Topic::Events), [&posts(general(), message(bob(), 90)).into()]).await;
        running.reach(source(Topic::Events), end).await;
        assert_eq!(running.shards.team("s1", team()).await.unwrap().position.offset, end);
        assert_eq!(running.verify(&house).await, []);
        // And once more: each time beside the one before.
        let rebuilt = soon(running.replica.rebuild(&running.feed, true)).await.unwrap();
        assert_eq!((rebuilt.before, rebuilt.generation, rebuilt.differed.as_ref().unwrap().differing), (1, 2, 0));
        assert_eq!(running.verify(&house).await, []);
        running.end().await;
        // Who comes anew finds the current one.
        let again = shard(vec![url]);
        assert_eq!(again.team("s1", team()).await.unwrap().position.offset, end);
        assert_eq!(replica(&again).generation().await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_timed_build_has_every_row_and_leaves_nothing() {
    on_each(|house, url| async move {
        let running = Running::new(&house, &url).await;
        let waiting = soon(running.replica.rebuild(&running.feed, false)).await.unwrap();
        let timed = soon(running.replica.time_build(&running.feed, u64::MAX)).await.unwrap().unwrap();
        assert!(url.starts_with(timed.database), "{timed:?}");
        // Beside the rows that are compared: three positions, and the keyed writes.
        assert!(timed.rows >= waiting.differed.as_ref().unwrap().rows + 3, "{timed:?} {waiting:?}");
        let ends = [Topic::Events, Topic::Marks, Topic::Credentials].map(source);
        let mut entries = 0;
        for source in ends {
            entries += running.feed.position(source).offset.0;
        }
        assert_eq!(timed.entries, entries);
        assert!(timed.batches.iter().sum::<std::time::Duration>() <= timed.build && !timed.inserts.is_zero());
        let few = soon(running.replica.time_build(&running.feed, 5)).await.unwrap().unwrap();
        assert!(few.entries == 5 && few.rows < timed.rows, "{few:?}");
        assert_eq!((running.replica.generation().await.unwrap(), running.replica.built().await.unwrap()), (0, Some(1)));
        if let Some(file) = url.strip_prefix("sqlite://") {
            let left = std::fs::read_dir(std::path::Path::new(file).parent().unwrap()).unwrap();
            let left = left.map(|file| file.unwrap().file_name().into_string().unwrap());
            assert_eq!(left.filter(|name| name.contains(".g2") || name.contains(".g3")).collect::<Vec<_>>(), [""; 0]);
        }
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_built_and_not_switched_to_waits() {
    on_each(|house, url| async move {
        let running = Running::new(&house, &url).await;
        let nothing = running.replica.switch(&running.feed).await;
        assert!(matches!(nothing, Err(VerifyError::NotBuilt { .. })), "{nothing:?}");
        by_hand(&url, "UPDATE people SET idx = 77 WHERE idx = 0").await;
        let rebuilt = soon(running.replica.rebuild(&running.feed, false)).await.unwrap();
        assert_eq!((rebuilt.generation, rebuilt.switched, rebuilt.differed.as_ref().unwrap().differing), (1, false, 1));
        let stands = async || (running.replica.generation().await.unwrap(), running.replica.built().await.unwrap());
        assert_eq!(stands().await, (0, Some(1)));
        // The old one goes on, and the new one catches up before it takes over.
        let end = house.append(source(Topic::Events), [&posts(general(), message(bob(), 90)).into()]).await;
        running.reach(source(Topic::Events), end).await;
        assert_eq!(running.verify(&house).await.len(), 1);
        let switched = soon(running.replica.switch(&running.feed)).await.unwrap();
        assert_eq!((switched.before, switched.generation), (0, 1));
        assert_eq!(stands().await, (1, None));
        assert_eq!(running.replica.positions().await.unwrap()[&source(Topic::Events)].offset, end);
        assert_eq!(running.verify(&house).await, []);
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn one_team_is_compared_alone() {
    on_each(|house, url| async move {
        let running = Running::new(&house, &url).await;
        let of_acme = OneTeam { team: team(), partition: source(Topic::Events).partition };
        by_hand(&url, "INSERT INTO members VALUES (1, 2, 3)").await;
        assert_eq!(running.verify(&house).await.len(), 1);
        let check = async |expected| {
            let verified = soon(running.replica.verify(&running.feed, Some(of_acme), house.dir.path())).await.unwrap();
            assert_eq!(verified.differing, expected, "{:?}", verified.differences);
            assert!(verified.positions.keys().all(|source| source.partition == of_acme.partition));
            assert!(verified.rows > 40);
        };
        check(0).await;
        by_hand(&url, "UPDATE people SET idx = 77 WHERE idx = 0").await;
        check(1).await;
        running.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_view_of_more_than_the_log_holds_differs_and_can_be_rebuilt() {
    on_each(|house, url| async move {
        Running::new(&house, &url).await.end().await;
        // The log came back as it was before.
        let shorter = House::new().await;
        let end = shorter.append(source(Topic::Events), life("s1")[..9].iter().map(|event| &**event)).await;
        let stop = CancellationToken::new();
        let feed = shorter.feed(&stop);
        let shards = shard(vec![url]);
        let verified = soon(replica(&shards).verify(&feed, None, shorter.dir.path())).await.unwrap();
        let events = source(Topic::Events).to_string();
        let told = verified.differences.iter().any(|one| one.table == "positions" && one.key == events);
        assert!(told, "{:?}", verified.differences);
        let rebuilt = soon(replica(&shards).rebuild(&feed, true)).await.unwrap();
        assert_eq!(rebuilt.differed.as_ref().unwrap().differing, verified.differing);
        assert_eq!(shards.team("s1", team()).await.unwrap().position.offset, end);
        let verified = soon(replica(&shards).verify(&feed, None, shorter.dir.path())).await.unwrap();
        assert_eq!(verified.differences, []);
        stop.cancel();
    })
    .await;
}
