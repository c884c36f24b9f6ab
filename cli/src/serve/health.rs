//! The report of `/readyz`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, json};
use teamlog_cluster::{Clock, Membership, Role};
use teamlog_consumers::JobRunner;
use teamlog_gateway::{Health, HealthReport};
use teamlog_ingest::Ingest;
use teamlog_log::{Partition, TopicPartition};
use teamlog_projectors::Runner;
use tokio::sync::watch;

use super::work::report;

/// The state of this process's parts.
pub(super) struct Parts {
    pub(super) role: Role,
    pub(super) members: watch::Receiver<Arc<Membership>>,
    pub(super) runner: Runner,
    pub(super) ingest: Ingest,
    pub(super) clock: Clock,
    pub(super) partitions: u32,
    /// Its consumers; none in a process that runs none.
    pub(super) jobs: Option<JobRunner>,
}

#[async_trait]
impl Health for Parts {
    async fn report(&self) -> HealthReport {
        let teams = self.ingest.teams();
        let feed = teams.feed();
        let mut views = Map::new();
        for status in self.runner.status() {
            let lag: u64 = status
                .sources
                .iter()
                .map(|source| {
                    let applied = status.progress.positions.get(source).map_or(0, |position| position.offset.0);
                    feed.position(*source).offset.0.saturating_sub(applied)
                })
                .sum();
            let stopped = status.progress.stopped.iter().map(|(source, why)| format!("{source}: {why}"));
            let stopped: Vec<String> = stopped.collect();
            views.insert(
                format!("{} on {}", status.view, status.replica),
                json!({
                    "lag": lag, "failing": status.progress.failing, "stopped": stopped,
                    "needs_rebuild": status.progress.needs_rebuild,
                }),
            );
        }
        let claimed = self.ingest.writes().len();
        let stopped = (0..self.partitions).find_map(|number| feed.stopped(TopicPartition::events(Partition(number))));
        let founded = self.ingest.directory().with(|directory| directory.cluster().is_some());
        let directory = self.ingest.writes_directory();
        let (mut chosen, mut directory_chosen) = (0, false);
        {
            let members = self.members.borrow();
            let is_me = |source| members.owner(source).is_some_and(|peer| peer.node == members.me());
            if matches!(self.role, Role::Serve | Role::Ingest) {
                chosen =
                    (0..self.partitions).filter(|number| is_me(TopicPartition::events(Partition(*number)))).count();
                directory_chosen = is_me(TopicPartition::DIRECTORY);
            }
        }
        // From here on readers can do without the log.
        let current = teams.are_current();
        let writes = claimed >= chosen && directory >= directory_chosen && (self.role != Role::Serve || directory);
        let (jobs, jobs_have_begun) = self.jobs.as_ref().map_or((json!({}), true), report);
        // Clients are served whatever consumers do; a node of nothing else is ready when they are.
        let works = self.role != Role::Work || jobs_have_begun;
        let ready = founded && current && writes && works && stopped.is_none();
        let log = json!({
            "partitions": self.partitions, "chosen": chosen, "claimed": claimed, "directory_claimed": directory, "founded": founded,
            "current": current, "stopped": stopped.map(|why| why.to_string()),
        });
        let off_seconds = self.clock.off_micros() as f64 / 1e6;
        let clock = json!({ "off_seconds": off_seconds, "may_claim": self.clock.may_claim() });
        HealthReport {
            ready,
            parts: json!({ "log": log, "clock": clock, "views": views, "jobs": jobs, "teams_live": teams.live_len() }),
        }
    }
}
