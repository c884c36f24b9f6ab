//! The runner: from the log to the rows, stopped and started again.

use std::time::Duration;

use teamlog_log::{Offset, Position, Topic, TopicPartition};
use teamlog_projectors::{Runner, WaitError, lowest_positions};
use teamlog_state::{Team, TeamSource};
use tokio_util::sync::CancellationToken;

use crate::{
    events::*,
    house::{on_each, shard, soon, source, statement},
};

#[tokio::test]
async fn a_view_goes_on_where_it_stopped() {
    on_each(|house, url| async move {
        let second = format!("sqlite://{}", house.dir.path().join("second.db").display());
        let shards = shard(vec![url, second]);
        let (events, life) = (source(Topic::Events), life("s1"));
        let mut team_now: Option<Team> = None;
        for piece in life.chunks(9) {
            let end = house.append(events, piece.iter().map(|event| &**event)).await;
            for event in piece {
                match &mut team_now {
                    Some(team) => team.apply(event),
                    None => team_now = Team::begin(event),
                }
            }
            let stop = CancellationToken::new();
            let runner = Runner::new(house.feed(&stop), stop.clone());
            shards.projectors().into_iter().for_each(|projector| runner.start(projector));
            soon(runner.wait_for("shard s1", events, end)).await.unwrap();
            assert!(runner.positions("shard s1", events).iter().all(|(_, position)| position.offset == end));
            stop.cancel();
            soon(runner.stopped()).await;
            let at = shards.team("s1", team()).await.unwrap();
            assert_eq!(at.position.offset, end);
            let expected = team_now.as_ref().unwrap().to_rows();
            assert_eq!(format!("{:?}", at.rows.unwrap()), format!("{expected:?}"));
        }
        let lowest = lowest_positions(&shards.projectors(), Duration::from_secs(5)).await;
        assert_eq!(lowest[&events], shards.team("s1", team()).await.unwrap().position);
        assert_eq!(lowest[&source(Topic::Marks)], Position::START);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_stops_its_partition_alone() {
    on_each(|house, url| async move {
        let shards = shard(vec![url]);
        let (events, life) = (source(Topic::Events), life("s1"));
        let readable = house.append(events, life[..6].iter().map(|event| &**event)).await;
        house.append_raw(events, vec![(Some(vec![0, 0, 0, 3, 232].into()), None)]).await;
        let end = house.append(events, life[6..].iter().map(|event| &**event)).await;
        let stop = CancellationToken::new();
        let runner = Runner::new(house.feed(&stop), stop.clone());
        shards.projectors().into_iter().for_each(|projector| runner.start(projector));
        let stopped = soon(runner.wait_for("shard s1", events, end)).await;
        assert!(matches!(&stopped, Err(WaitError::Stopped(why)) if why.contains("1000")), "{stopped:?}");
        soon(runner.wait_for("shard s1", events, readable)).await.ok();
        let marked = house.append(source(Topic::Marks), [&marks(bob(), general(), 5)]).await;
        soon(runner.wait_for("shard s1", source(Topic::Marks), marked)).await.unwrap();
        let at = shards.team("s1", team()).await.unwrap();
        assert_eq!(at.position.offset, readable);
        assert_eq!(shards.user("s1", team(), bob()).await.unwrap().rows.mark(general()), ts(5));
        let nowhere = runner.wait_for("shard s1", TopicPartition::DIRECTORY, Offset(1)).await;
        assert!(matches!(nowhere, Err(WaitError::NotRun { .. })));
        stop.cancel();
        soon(runner.stopped()).await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_database_is_built_again() {
    on_each(|house, url| async move {
        let shards = shard(vec![url.clone()]);
        let (events, life) = (source(Topic::Events), life("s1"));
        house.append(events, life[..20].iter().map(|event| &**event)).await;
        let end = house.append(events, life[20..30].iter().map(|event| &**event)).await;
        let stop = CancellationToken::new();
        let runner = Runner::new(house.feed(&stop), stop.clone());
        shards.projectors().into_iter().for_each(|projector| runner.start(projector));
        soon(runner.wait_for("shard s1", events, end)).await.unwrap();
        for table in ["DROP TABLE people", "DROP TABLE messages", "DROP TABLE positions", "DROP TABLE teams"] {
            statement(&url, table).await;
        }
        let end = house.append(events, life[30..].iter().map(|event| &**event)).await;
        soon(runner.wait_for("shard s1", events, end)).await.unwrap();
        let at = shards.team("s1", team()).await.unwrap();
        assert_eq!((at.position.offset, at.rows.unwrap().people.len()), (end, 3));
        stop.cancel();
        soon(runner.stopped()).await;
    })
    .await;
}
