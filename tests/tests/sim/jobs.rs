//! A consumer on every node, placed as writers are: each message that counts gets a token, once, whatever crashes.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use teamlog_cluster::Membership;
use teamlog_consumers::{Consumer, Job, JobBudget, JobEnd, RetryPolicy, World as Inside};
use teamlog_ingest::commands::IssueToken;
use teamlog_log::{Offset, Partition, Topic, TopicPartition};
use teamlog_schemas::{Event, UserId};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::world::{REST, World};

/// Gives the author of each message a token: a command that is refused to nobody, and shows to nobody.
pub(crate) struct Receipts;

#[async_trait]
impl Consumer for Receipts {
    const NAME: &'static str = "receipts";
    type Work = UserId;

    fn work(&self, event: &Event) -> Vec<UserId> {
        match event {
            Event::MessagePosted(posted) => posted.meta.actor.into_iter().collect(),
            _ => Vec::new(),
        }
    }

    async fn run(&self, inside: &Inside, job: &Job<UserId>) -> JobEnd {
        match inside.submit(job, None, IssueToken { user: job.work }).await {
            Ok(_) => JobEnd::Done,
            Err(why) => why.into(),
        }
    }

    fn budget(&self) -> JobBudget {
        // Nothing here fails for good: what goes wrong ends.
        let (last, age_max) = (Duration::from_secs(1), Duration::from_secs(100_000));
        let retry = RetryPolicy { first: Duration::from_millis(50), last, tries_max: u32::MAX, age_max };
        JobBudget { in_flight_max: 8, team_in_flight_max: 4, team_waiting_max: 4, retry, ..JobBudget::default() }
    }
}

/// The partitions that a node owns by its table, as it changes: tables differ, so a partition may be two nodes'.
pub(crate) fn mine(
    mut members: watch::Receiver<Arc<Membership>>,
    partitions: u32,
    stop: &CancellationToken,
) -> watch::Receiver<BTreeSet<Partition>> {
    let mine = move |table: &Membership| {
        let is_mine = |partition: &Partition| {
            table.owner(TopicPartition::events(*partition)).is_some_and(|peer| peer.node == table.me())
        };
        (0..partitions).map(Partition).filter(is_mine).collect::<BTreeSet<_>>()
    };
    let (told, follower) = watch::channel(mine(&members.borrow_and_update()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        while members.changed().await.is_ok() {
            let now = mine(&members.borrow_and_update());
            told.send_if_modified(|told| std::mem::replace(told, now.clone()) != now);
        }
    }));
    follower
}

/// Every message since the consumer began has its token. That none has two is the model's to see: a key counts once.
pub(crate) async fn work_is_done(world: &World) {
    for partition in (0..world.plan().partitions).map(Partition) {
        let deadline = Instant::now() + REST;
        loop {
            let left_out = began(world, partition).map(|from| left_out(world, partition, from));
            match left_out {
                Some(left_out) if left_out.is_empty() => break,
                left_out if Instant::now() > deadline => {
                    world.fail(&format!("work was left out in partition {partition}: {left_out:?}"));
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// Where the consumer began, by the first word of it in the log.
fn began(world: &World, partition: Partition) -> Option<Offset> {
    let records = world.log().records(TopicPartition { topic: Topic::Progress, partition });
    let words = records.iter().filter_map(|record| Event::decode(record.value.as_deref()?).ok());
    let begun = words.filter_map(|word| match word {
        Event::ConsumerProgress(progress) if progress.begins => Some(Offset(progress.offset.unsigned_abs())),
        _ => None,
    });
    begun.into_iter().next()
}

/// The offsets of messages that have no token.
fn left_out(world: &World, partition: Partition, from: Offset) -> Vec<Offset> {
    let shadow = world.shadow();
    let counted = shadow.counted(partition);
    let has_token: HashSet<_> = counted.iter().filter_map(|one| one.event.meta()?.key.clone()).collect();
    let posts = counted.iter().filter(|one| one.offset >= from && matches!(&*one.event, Event::MessagePosted(_)));
    let is_left_out = posts.filter(|one| {
        let meta = one.event.meta();
        meta.is_some_and(|meta| meta.actor.is_some() && !has_token.contains(&format!("receipts/{}/0", meta.event_id)))
    });
    is_left_out.map(|one| one.offset).collect()
}
