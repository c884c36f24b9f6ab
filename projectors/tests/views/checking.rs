//! Verify and rebuild, with the runner running.

use teamlog_log::{Offset, Topic, TopicPartition};
use teamlog_projectors::{Difference, Runner, Shards, View, rebuild, verify};
use teamlog_schemas::Event;
use teamlog_state::TeamSource;
use tokio_util::sync::CancellationToken;

use crate::{
    events::*,
    house::{House, by_hand, on_each, shard, soon, source},
};

struct Running {
    shards: Shards,
    view: View,
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
        let running = Running { view: View::Shard(shards.clone(), "s1".into()), shards, runner, stop, feed };
        running.reach(source(Topic::Events), end).await;
        running.reach(source(Topic::Marks), marked).await;
        running.reach(source(Topic::Credentials), stored).await;
        running
    }

    async fn reach(&self, source: TopicPartition, offset: Offset) {
        soon(self.runner.wait_for("shard s1", source, offset)).await.unwrap();
    }

    async fn verify(&self, house: &House) -> Vec<Difference> {
        let replica = &self.shards.replicas("s1")[0];
        let verified = soon(verify(&self.feed, &self.view, replica, None, house.dir.path())).await.unwrap();
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
        let replica = &running.shards.replicas("s1")[0];
        let rebuilt = soon(rebuild(&running.feed, &running.view, replica)).await.unwrap();
        assert_eq!((rebuilt.before, rebuilt.generation, rebuilt.differed.differing), (0, 1, 1));
        assert_eq!(rebuilt.differed.differences[0].table, "people");
        assert_eq!(format!("{:?}", running.shards.team("s1", team()).await.unwrap().rows.unwrap()), good);
        // The runner goes on with the new one.
        let end = house.append(source(Topic::Events), [&posts(general(), message(bob(), 90)).into()]).await;
        running.reach(source(Topic::Events), end).await;
        assert_eq!(running.shards.team("s1", team()).await.unwrap().position.offset, end);
        assert_eq!(running.verify(&house).await, []);
        // And once more: each time beside the one before.
        let rebuilt = soon(rebuild(&running.feed, &running.view, replica)).await.unwrap();
        assert_eq!((rebuilt.before, rebuilt.generation, rebuilt.differed.differing), (1, 2, 0));
        assert_eq!(running.verify(&house).await, []);
        running.end().await;
        // Who comes anew finds the current one.
        let again = shard(vec![url]);
        assert_eq!(again.team("s1", team()).await.unwrap().position.offset, end);
        assert_eq!(again.replicas("s1")[0].current_generation().await.unwrap(), 2);
    })
    .await;
}
