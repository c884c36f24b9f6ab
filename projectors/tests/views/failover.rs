//! Reading goes on with any one replica.

use std::time::{Duration, Instant};

use teamlog_log::{FeedConfig, Topic};
use teamlog_projectors::{Batch, lowest_positions};
use teamlog_state::{SourceError, TeamSource};
use tokio_util::sync::CancellationToken;

use crate::{
    events::{life, team},
    house::{House, on_each, shard, source},
};

/// A replica at a port where no server listens.
const DEAD: &str = "mysql://root@127.0.0.1:1/teamlog_s1";

#[tokio::test]
async fn a_dead_replica_is_passed_over() {
    on_each(|house, url| async move {
        let shards = shard(vec![DEAD.to_owned(), url]);
        let life = life("s1");
        house.append(source(Topic::Events), life.iter().map(|event| &**event)).await;
        let mut batch = Batch::default();
        let entries = house.entries(source(Topic::Events)).await;
        batch.extend(source(Topic::Events), teamlog_log::Position::START, entries);
        let projectors = shards.projectors();
        assert!(projectors[0].apply(&batch).await.is_err());
        projectors[1].apply(&batch).await.unwrap();
        let began = Instant::now();
        for _ in 0..20 {
            assert!(shards.team("s1", team()).await.unwrap().rows.is_some());
        }
        assert!(began.elapsed().as_secs() < 8, "the dead one is asked last for a while");
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_lags_too_far_is_passed_over() {
    let house = House::new().await;
    let url = |name: &str| format!("sqlite://{}", house.dir.path().join(name).display());
    let shards = shard(vec![url("lags.db"), url("current.db")]);
    let (events, life) = (source(Topic::Events), life("s1"));
    house.append(events, life.iter().map(|event| &**event)).await;
    let entries = house.entries(events).await;
    let projectors = shards.projectors();
    for (projector, count) in projectors.iter().zip([entries.len() / 2, entries.len()]) {
        let mut batch = Batch::default();
        batch.extend(events, teamlog_log::Position::START, entries[..count].to_vec());
        projector.apply(&batch).await.unwrap();
    }
    let (behind, end) = (entries[entries.len() / 2 - 1].after, entries.last().unwrap().after);
    let begins = lowest_positions(&projectors, Duration::from_secs(5)).await;
    assert_eq!(begins[&events], end, "the feed begins where the one that is read stands");
    assert_eq!(shards.team("s1", team()).await.unwrap().position, behind, "nothing says that it is too far behind");

    let stop = CancellationToken::new();
    let feed = house.feed_with(FeedConfig { ring_bytes_max: 1, ..FeedConfig::default() }, &stop);
    feed.wait_for(events, end.offset).await.unwrap();
    shards.follow(&feed);
    for _ in 0..3 {
        assert_eq!(shards.team("s1", team()).await.unwrap().position, end);
    }
    // Where there is no other one it is better than none.
    let alone = shard(vec![url("lags.db")]);
    alone.follow(&feed);
    assert_eq!(alone.team("s1", team()).await.unwrap().position, behind);
    stop.cancel();
}

#[tokio::test]
async fn with_no_replica_the_shard_is_away() {
    let shards = shard(vec![DEAD.to_owned()]);
    let away = shards.team("s1", team()).await;
    assert!(matches!(away, Err(SourceError::Away { ref shard, .. }) if shard == "s1"), "{away:?}");
    let unknown = shards.team("s9", team()).await;
    assert!(matches!(unknown, Err(SourceError::Away { ref shard, .. }) if shard == "s9"), "{unknown:?}");
}

#[tokio::test]
async fn a_broken_row_is_said_to_be_one() {
    let house = House::new().await;
    let url = format!("sqlite://{}", house.dir.path().join("s1.db").display());
    let shards = shard(vec![url.clone()]);
    let life = life("s1");
    house.append(source(Topic::Events), life.iter().map(|event| &**event)).await;
    let mut batch = Batch::default();
    batch.extend(source(Topic::Events), teamlog_log::Position::START, house.entries(source(Topic::Events)).await);
    shards.projectors()[0].apply(&batch).await.unwrap();
    crate::house::by_hand(&url, "UPDATE people SET body = 'no JSON'").await;
    let broken = shards.team("s1", team()).await;
    assert!(matches!(broken, Err(SourceError::Broken { .. })), "{broken:?}");
}
