//! The consumers of this program, which of them run in this process, and the dead letters that it shows.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::bail;
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use teamlog_cluster::{Clock, Membership, Random, Role};
use teamlog_consumers::{
    Consumer, JobId, JobRunner, Ledger, Letter, World,
    egress::{Egress, EgressConfig},
    unfurl::{UnfurlLinks, Unfurler},
};
use teamlog_gateway::{DeadJob, Jobs, JobsError};
use teamlog_log::{Feed, LogError, Partition};
use teamlog_schemas::{Event, TeamId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::part::Part;
use crate::config::Config;

/// How long a server that does everything waits for its consumers to know where they stand, before it takes calls.
const BEGIN_WAIT: Duration = Duration::from_secs(2);

/// The partitions that are this node's, of one kind, as they change.
type Mine = watch::Receiver<BTreeSet<Partition>>;
/// Starts a consumer that was made.
type Begin = Box<dyn FnOnce(&JobRunner, World, Mine) + Send>;
/// Makes a consumer of the configuration.
type Make = fn(&Config) -> anyhow::Result<Begin>;

/// The consumers, by their kinds. A new one is a line here.
const CONSUMERS: &[(&str, Make)] = &[(UnfurlLinks::NAME, unfurl)];

fn unfurl(config: &Config) -> anyhow::Result<Begin> {
    let egress = EgressConfig { allow_private_urls: config.apps.allow_private_urls, ..config.egress.clone() };
    let consumer = UnfurlLinks::new(Unfurler::new(Egress::new(egress), config.unfurl.clone()));
    Ok(Box::new(|runner, world, mine| runner.start(consumer, world, mine)))
}

/// The kinds that a process runs.
///
/// # Errors
/// If the configuration or arguments name a kind that does not exist.
pub(super) fn kinds(part: &Part) -> anyhow::Result<Vec<String>> {
    let all: Vec<_> = CONSUMERS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    match part {
        Part::Serve { .. } => Ok(all),
        Part::Ingest | Part::Gateway | Part::Project { .. } => Ok(Vec::new()),
        Part::Work { kinds } if kinds.is_empty() => Ok(all),
        Part::Work { kinds } => match kinds.iter().find(|kind| !all.contains(kind)) {
            Some(unknown) => bail!("there is no consumer {unknown:?}; there are {}", all.join(", ")),
            None => Ok(kinds.clone()),
        },
    }
}

/// The consumers of a process, and the dead letters of all consumers in the log.
pub(super) struct Work {
    runner: JobRunner,
    clock: Clock,
    waiting: Vec<(String, Begin)>,
    partitions: u32,
    stop: CancellationToken,
}

impl Work {
    /// Makes the consumers of this process and starts none of them. `None` in a process that neither runs consumers nor
    /// shows dead letters.
    ///
    /// # Errors
    /// As [`kinds`]; and if a consumer cannot be made of the configuration.
    pub(super) fn prepare(
        config: &Config,
        part: &Part,
        clock: Clock,
        feed: &Feed<Event>,
        partitions: u32,
        stop_feed: &CancellationToken,
    ) -> anyhow::Result<Option<Work>> {
        if matches!(part.role(), Role::Ingest | Role::Project) {
            return Ok(None);
        }
        let kinds = kinds(part)?;
        let here = CONSUMERS.iter().filter(|(kind, _)| kinds.iter().any(|one| one == kind));
        let waiting =
            here.map(|(kind, make)| Ok(((*kind).to_owned(), make(config)?))).collect::<anyhow::Result<_>>()?;
        let stop = CancellationToken::new();
        let ledger = Ledger::start(feed.log().clone(), partitions, stop_feed.clone());
        let runner = JobRunner::new(feed.clone(), ledger, clock.clone(), Random::system(), stop.clone());
        Ok(Some(Work { runner, clock, waiting, partitions, stop }))
    }

    /// Starts the consumers, and waits for a limited time until they know their positions. Messages that are posted here
    /// after that are not missed, even by a consumer that begins with this start.
    ///
    /// A process with all roles owns every partition; otherwise the membership table decides.
    pub(super) async fn begin(&mut self, world: &World, role: Role, members: &watch::Receiver<Arc<Membership>>) {
        let is_alone = role == Role::Serve;
        for (kind, begin) in std::mem::take(&mut self.waiting) {
            let mine = if is_alone {
                watch::channel((0..self.partitions).map(Partition).collect()).1
            } else {
                mine(members.clone(), kind, self.stop.clone(), self.partitions)
            };
            begin(&self.runner, world.clone(), mine);
        }
        if is_alone && tokio::time::timeout(BEGIN_WAIT, self.runner.begun()).await.is_err() {
            warn!("not every consumer knows yet where it stands; the log may be slow");
        }
    }

    /// Stops the consumers. Returns once none runs and the position of each is stored.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.runner.stopped().await;
    }

    /// The dead letters, for operators.
    pub(super) fn desk(&self) -> Arc<dyn Jobs> {
        Arc::new(Desk { ledger: self.runner.ledger().clone(), clock: self.clock.clone() })
    }

    /// Returns the runner of the consumers, for `/readyz`.
    pub(super) fn runner(&self) -> &JobRunner {
        &self.runner
    }
}

/// How consumers stand, for `/readyz`, and whether each knows how far it has come.
pub(super) fn report(runner: &JobRunner) -> (Value, bool) {
    let (mut kinds, mut have_begun) = (Map::new(), true);
    for status in runner.status() {
        have_begun &= status.begun == status.partitions;
        let shown = json!({
            "partitions": status.partitions, "begun": status.begun, "lag": status.lag, "waiting": status.waiting,
            "in_flight": status.in_flight, "held": status.held, "parked_teams": status.parked, "dead": status.dead,
            "oldest_seconds": status.oldest.as_secs_f64(), "failing": status.failing,
        });
        kinds.insert(status.kind, shown);
    }
    (Value::Object(kinds), have_begun)
}

/// The partitions of a kind that the table gives to this node, as it changes.
fn mine(mut members: watch::Receiver<Arc<Membership>>, kind: String, stop: CancellationToken, partitions: u32) -> Mine {
    let mine = move |members: &Membership| {
        let is_mine =
            |partition: &Partition| members.works(&kind, *partition).is_some_and(|peer| peer.node == members.me());
        (0..partitions).map(Partition).filter(is_mine).collect::<BTreeSet<_>>()
    };
    let (told, follower) = watch::channel(mine(&members.borrow_and_update()));
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        while members.changed().await.is_ok() {
            let now = mine(&members.borrow_and_update());
            told.send_if_modified(|told| std::mem::replace(told, now.clone()) != now);
        }
    }));
    follower
}

struct Desk {
    ledger: Ledger,
    clock: Clock,
}

impl Desk {
    fn shown(&self, letter: Letter) -> DeadJob {
        DeadJob {
            job: letter.id.to_string(),
            team: letter.team,
            partition: letter.partition.0,
            offset: letter.offset.0,
            tries: letter.tries,
            failed_at: letter.failed_at,
            is_retried: letter.is_retried,
            may_repeat: letter.may_repeat(self.clock.now()),
            kind: letter.id.consumer,
            why: letter.why,
        }
    }

    fn letter(&self, job: &str) -> Option<Letter> {
        self.ledger.letter(&job.parse::<JobId>().ok()?)
    }
}

#[async_trait]
impl Jobs for Desk {
    fn dead(&self, kind: Option<&str>, team: Option<TeamId>) -> Vec<DeadJob> {
        let letters = self.ledger.letters(|letter| {
            kind.is_none_or(|kind| letter.id.consumer == kind) && team.is_none_or(|team| letter.team == team)
        });
        letters.into_iter().map(|letter| self.shown(letter)).collect()
    }

    fn find(&self, job: &str) -> Option<DeadJob> {
        self.letter(job).map(|letter| self.shown(letter))
    }

    async fn event(&self, job: &str) -> Result<Option<Value>, JobsError> {
        let Some(letter) = self.letter(job) else { return Ok(None) };
        Ok(self.ledger.event_of(&letter).await.map_err(away)?.map(|event| event.to_json()))
    }

    async fn retry(&self, job: &str) -> Result<bool, JobsError> {
        let Some(letter) = self.letter(job) else { return Ok(false) };
        self.ledger.retry(&letter.id).await.map_err(away)
    }

    async fn drop_job(&self, job: &str) -> Result<bool, JobsError> {
        let Some(letter) = self.letter(job) else { return Ok(false) };
        self.ledger.drop_letter(&letter.id).await.map_err(away)
    }
}

fn away(why: LogError) -> JobsError {
    JobsError::Away(why.to_string())
}
