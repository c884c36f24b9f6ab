//! The writers of this process: one for every partition. A writer is active while the membership table makes this node the
//! owner of its partition.

use std::sync::Arc;

use async_trait::async_trait;
use teamlog_cluster::Membership;
use teamlog_live::{DirectoryHandle, Teams};
use teamlog_log::{Feed, Partition, Position, TopicPartition};
use teamlog_schemas::Event;
use teamlog_state::TeamSource;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Answer, DirectoryRequest, NotAccepted, Refusal, Request, WriterConfig, WriterHandle, Writers,
    directory_decider::DirectoryDecider, team_decider::TeamDecider, timers::Timers, writer,
};

/// The membership table, as it changes.
pub(crate) type Members = watch::Receiver<Arc<Membership>>;

pub(crate) struct LocalWriters {
    directory: DirectoryHandle,
    writers: Vec<WriterHandle<Request>>,
    registrar: WriterHandle<DirectoryRequest>,
}

/// The parts that all writers share.
pub(crate) struct LocalParts {
    pub(crate) feed: Feed<Event>,
    pub(crate) teams: Teams,
    pub(crate) directory: DirectoryHandle,
    pub(crate) source: Arc<dyn TeamSource<Position>>,
    pub(crate) shard_of: Arc<dyn Fn(u32) -> String + Send + Sync>,
    pub(crate) members: Members,
    pub(crate) config: WriterConfig,
    /// The number of commands that may wait for the directory: all are in one lane.
    pub(crate) directory_lane_max: usize,
}

impl LocalWriters {
    /// Starts all writers. `from` is the position where the feed begins, for each partition of `events`, and
    /// `directory_from` that of the directory.
    pub(crate) fn start(
        parts: LocalParts,
        from: &[Position],
        directory_from: Position,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> LocalWriters {
        let LocalParts { feed, teams, directory, source, shard_of, members, config, directory_lane_max } = parts;
        let partitions = u32::try_from(from.len()).unwrap_or(u32::MAX);
        let choice = |of| follow(members.clone(), of, stop.child_token());
        let writers = from.iter().zip(0..).map(|(position, number)| {
            let partition = Partition(number);
            let decider = TeamDecider { partition, teams: teams.clone(), source: source.clone() };
            let events = TopicPartition::events(partition);
            let (config, clock, timers_stop) = (config.clone(), config.clock.clone(), stop.child_token());
            let stop = stop.child_token();
            let writer = writer::start(decider, feed.clone(), events, *position, config, choice(events), tasks, stop);
            let (feed, source, shard, writer_of_timers) =
                (feed.clone(), source.clone(), shard_of(number), writer.clone());
            let timers = Timers { partition, feed, source, shard, writer: writer_of_timers, clock };
            tasks.spawn(timers.run(timers_stop));
            writer
        });
        let writers = writers.collect();
        let decider = DirectoryDecider { directory: directory.clone(), teams, partitions, shard_of };
        let config = WriterConfig { lane_max: directory_lane_max, ..config };
        let of = TopicPartition::DIRECTORY;
        let registrar = writer::start(decider, feed, of, directory_from, config, choice(of), tasks, stop.child_token());
        LocalWriters { directory, writers, registrar }
    }

    /// Returns the partitions of `events` whose newest counted claim is this process's.
    pub(crate) fn writes(&self) -> Vec<u32> {
        let leads = self.writers.iter().zip(0..).filter(|(writer, _)| writer.leads().is_some());
        leads.map(|(_, number)| number).collect()
    }

    pub(crate) fn writes_directory(&self) -> bool {
        self.registrar.leads().is_some()
    }

    /// Checks that a team lives in a partition, for its events must never be appended to another one. If the
    /// directory does not have the team yet, it first reads to the log's end.
    async fn lives_in(&self, request: &Request, partition: Partition) -> Result<(), Answer> {
        match self.directory.partition(request.team).await {
            Ok(Some(home)) if home == partition => Ok(()),
            Ok(Some(_) | None) => Err(Answer::Refused(Refusal::TeamNotFound)),
            Err(_) => Err(Answer::not_accepted(NotAccepted::LogAway)),
        }
    }
}

#[async_trait]
impl Writers for LocalWriters {
    async fn submit(&self, partition: Partition, request: Request) -> Answer {
        if let Err(answer) = self.lives_in(&request, partition).await {
            return answer;
        }
        let Some(writer) = self.writers.get(partition.0 as usize) else {
            return Answer::not_accepted(NotAccepted::NotOwner);
        };
        let deadline = request.deadline;
        writer.submit(request, deadline).await
    }

    async fn register(&self, request: DirectoryRequest) -> Answer {
        let deadline = request.deadline();
        self.registrar.submit(request, deadline).await
    }

    /// Returns true: a command enters the writer's inbox in the first poll of its call.
    fn in_order(&self) -> bool {
        true
    }
}

/// Returns a channel that tells whether this node is chosen to write a partition. It follows the membership table.
fn follow(mut members: Members, of: TopicPartition, stop: CancellationToken) -> watch::Receiver<bool> {
    let is_chosen = move |members: &Membership| members.owner(of).is_some_and(|peer| peer.node == members.me());
    let first = is_chosen(&members.borrow_and_update());
    let (chosen, follower) = watch::channel(first);
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        while members.changed().await.is_ok() {
            let now = is_chosen(&members.borrow_and_update());
            chosen.send_if_modified(|chosen| std::mem::replace(chosen, now) != now);
        }
    }));
    follower
}
