//! The facade: one handle through which gateways and tools write and find live teams.

use std::{sync::Arc, time::Duration};

use teamlog_cluster::{Clock, Membership, Random, Secrets};
use teamlog_live::{DirectoryHandle, LiveTeam, Marks, Observer, Teams, TeamsConfig, TeamsError};
use teamlog_log::{Feed, Offset, Partition, Position};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::{DirectoryRows, TeamSource};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    Acked, Answer, DirectoryRequest, NewTeam, NotAccepted, Refusal, Request, WriterConfig, Writers,
    commands::BeginTeam,
    directory_decider::registration,
    local_writers::{LocalParts, LocalWriters},
    unresolved::UnresolvedWrites,
};

/// Sizes of the writers and of the live teams.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Commands that wait or are in flight for one team.
    pub team_max: usize,
    /// Commands that wait for one partition.
    pub partition_max: usize,
    /// Records in flight for one partition.
    pub in_flight_max: usize,
    /// The live teams' sizes.
    pub teams: TeamsConfig,
}

impl Default for IngestConfig {
    fn default() -> Self {
        IngestConfig { team_max: 256, partition_max: 4096, in_flight_max: 4096, teams: TeamsConfig::default() }
    }
}

/// Why this node must not write to the cluster, for now or for good.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FoundingError {
    /// The cluster was founded with other keys: this node must not serve it.
    #[error("this node's [cluster] keys are not those of cluster {0}")]
    OtherKeys(Uuid),
    /// The cluster was founded on another number of partitions: teams would be looked for in the wrong partition.
    #[error(
        "cluster {cluster} was founded on {founded} partitions of events and the log has {here}: their number must never change"
    )]
    OtherPartitions {
        /// The cluster.
        cluster: Uuid,
        /// As it was founded.
        founded: u32,
        /// As the log says.
        here: u32,
    },
    /// The founding could not be read: the cluster may be founded or not. A retry may succeed.
    #[error("the cluster's founding is not known: {0}")]
    NotKnown(String),
}

/// Where commands go.
pub enum Writing {
    /// To writers in this process, each of which writes while the table gives its partition to this node.
    Here(watch::Receiver<Arc<Membership>>),
    /// To another implementation of [`Writers`], such as those of other nodes.
    Elsewhere(Arc<dyn Writers>),
}

impl Writing {
    /// Returns writers in this process for a cluster of one node: it owns every partition.
    pub fn alone(node: Uuid) -> Writing {
        Writing::Here(watch::channel(Arc::new(Membership::alone(node))).1)
    }
}

/// The parts that [`Ingest::start`] needs.
pub struct IngestParts {
    /// The feed of `events`, `directory` and `marks`.
    pub feed: Feed<Event>,
    /// Where teams' rows come from.
    pub source: Arc<dyn TeamSource<Position>>,
    /// The directory's rows, and what they reflect.
    pub directory: (DirectoryRows, Position),
    /// Where the feed begins, for each partition of `events`.
    pub from: Vec<Position>,
    /// The shard of a partition, for new teams.
    pub shard_of: Arc<dyn Fn(u32) -> String + Send + Sync>,
    /// The cluster's keys.
    pub secrets: Arc<Secrets>,
    /// This node's id.
    pub node: Uuid,
    /// The node's clock.
    pub clock: Clock,
    /// Where its random numbers come from.
    pub random: Random,
    /// Where commands go.
    pub writing: Writing,
    /// An observer that is called with every entry of the feed.
    pub observer: Option<Arc<dyn Observer>>,
    /// Sizes.
    pub config: IngestConfig,
}

/// The facade of the write path. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

struct Inner {
    teams: Teams,
    directory: DirectoryHandle,
    marks: Marks,
    secrets: Arc<Secrets>,
    writers: Arc<dyn Writers>,
    /// The writers as local ones; `None` if commands go elsewhere.
    local: Option<Arc<LocalWriters>>,
    unresolved: UnresolvedWrites,
    /// Of `events`.
    partitions: u32,
}

/// The interval between two checks whether the cluster is founded.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The time limit of the second step of making a team, when a later request for the team has to do it.
const BEGIN: Duration = Duration::from_secs(10);

impl Ingest {
    /// Starts the writer of every partition and of the directory, and the readers that they need. `stop` ends all of them;
    /// the writers in `tasks` end once their commands in flight are drained.
    pub fn start(parts: IngestParts, tasks: &TaskTracker, stop: &CancellationToken) -> Ingest {
        let IngestParts {
            feed,
            source,
            directory: (rows, at),
            from,
            shard_of,
            secrets,
            node,
            clock,
            random,
            writing,
            observer,
            config,
        } = parts;
        let partitions = u32::try_from(from.len()).unwrap_or(u32::MAX);
        let directory = DirectoryHandle::start(&feed, rows, at, stop.child_token());
        let teams = Teams::start(
            feed.clone(),
            source.clone(),
            directory.clone(),
            &from,
            config.teams.clone(),
            observer,
            &stop.child_token(),
        );
        let (writers, local) = match writing {
            Writing::Elsewhere(writers) => (writers, None),
            Writing::Here(members) => {
                let parts = LocalParts {
                    feed,
                    teams: teams.clone(),
                    directory: directory.clone(),
                    source: source.clone(),
                    shard_of,
                    members: members.clone(),
                    config: WriterConfig {
                        members,
                        lane_max: config.team_max,
                        inbox_max: config.partition_max,
                        in_flight_max: config.in_flight_max,
                        node,
                        clock: clock.clone(),
                        random,
                        secrets: secrets.clone(),
                    },
                    directory_lane_max: config.partition_max,
                };
                let local = Arc::new(LocalWriters::start(parts, &from, at, tasks, stop));
                (local.clone() as Arc<dyn Writers>, Some(local))
            }
        };
        let marks = Marks::start(teams.clone(), directory.clone(), source, clock, tasks, stop.child_token());
        let unresolved = UnresolvedWrites::default();
        Ingest { inner: Arc::new(Inner { teams, directory, marks, secrets, writers, local, unresolved, partitions }) }
    }

    /// Submits a command and waits for its answer, at most until its deadline. If the command has an idempotency key, the
    /// answer is true of all tries with this key.
    pub async fn submit(&self, partition: Partition, request: Request) -> Answer {
        self.tried(partition, request, false).await
    }

    /// Submits a command again after an earlier try was forwarded to another process and its reply was lost. That try may
    /// still execute there, so a refusal of this one does not close the outcome of the key.
    pub async fn submit_after_a_loss(&self, partition: Partition, request: Request) -> Answer {
        self.tried(partition, request, true).await
    }

    /// Looks up the partition of the command's team and submits the command: for callers that have no live team.
    pub async fn submit_by_team(&self, request: Request) -> Answer {
        match self.inner.directory.partition(request.team).await {
            Ok(Some(partition)) => self.submit(partition, request).await,
            Ok(None) => Answer::Refused(Refusal::TeamNotFound),
            Err(_) => Answer::not_accepted(NotAccepted::LogAway),
        }
    }

    async fn tried(&self, partition: Partition, request: Request, after_a_loss: bool) -> Answer {
        let keyed = request.key.as_ref().map(|key| (request.team, request.actor, &request.method, key));
        let this = self.inner.unresolved.begin(keyed, after_a_loss);
        let answer = self.inner.writers.submit(partition, request).await;
        self.inner.unresolved.resolve(this, answer)
    }

    /// Makes a team, in two steps: the directory gives out the domain, then the team begins. The answer's event is the
    /// team's registration, now or at an earlier try with the same key.
    pub async fn create_team(&self, new: NewTeam) -> Answer {
        let this = self.inner.unresolved.begin(new.key.as_ref().map(|key| (&new.domain, key)), false);
        let answer = self.make_team(new).await;
        self.inner.unresolved.resolve(this, answer)
    }

    async fn make_team(&self, new: NewTeam) -> Answer {
        let deadline = new.deadline;
        let answer = self.inner.writers.register(DirectoryRequest::Register(Box::new(new))).await;
        let Answer::Acked(acked) = answer else { return answer };
        let Event::TeamRegistered(registered) = &*acked.event else { return Answer::Unknown };
        if self.inner.directory.wait_for(acked.seen_at.offset).await.is_err() {
            return Answer::Unknown;
        }
        match self.begin(registered.clone(), deadline).await {
            Ok((partition, seen_at)) => {
                Answer::Acked(Acked { event: acked.event.clone(), partition, seen_at, repeated: acked.repeated })
            }
            // The team is registered for good, and the first request for it will begin it. This caller cannot know whether
            // it has begun, so it must retry.
            Err(_) => Answer::Unknown,
        }
    }

    /// Returns the live team. A team that is registered and has not begun, because its creator crashed between the two
    /// steps, is begun first.
    ///
    /// # Errors
    /// All of [`TeamsError`] but `NotBegun`.
    pub async fn team(&self, team: TeamId) -> Result<Arc<LiveTeam>, TeamsError> {
        let partition = self.inner.directory.partition(team).await?.ok_or(TeamsError::NotFound)?;
        self.team_in(partition, team).await
    }

    /// Returns the live team as [`Ingest::team`] does, for a team whose partition is known.
    ///
    /// # Errors
    /// All of [`TeamsError`] but `NotBegun`.
    pub async fn team_in(&self, partition: Partition, team: TeamId) -> Result<Arc<LiveTeam>, TeamsError> {
        let away = || TeamsError::Away("the team has not begun and cannot at the moment".to_owned());
        match self.inner.teams.get_in(partition, team).await {
            Err(TeamsError::NotBegun(_)) => {
                let entry = self.inner.directory.by_team(team).ok_or(TeamsError::NotFound)?;
                let event = registration(&self.inner.teams, Offset(entry.offset)).await.ok_or_else(away)?;
                let Event::TeamRegistered(registered) = &*event else { return Err(TeamsError::NotFound) };
                let (partition, seen_at) = self.begin(registered.clone(), Instant::now() + BEGIN).await?;
                self.inner.teams.wait_for(partition, seen_at.offset).await?;
                self.inner.teams.get_in(partition, team).await
            }
            other => other,
        }
    }

    /// Does the second step of making a team, unless it was done before. Returns a position that reflects it.
    async fn begin(
        &self,
        registered: teamlog_schemas::TeamRegistered,
        deadline: Instant,
    ) -> Result<(Partition, Position), TeamsError> {
        let request = Request {
            team: registered.meta.team,
            actor: None,
            method: "teamlog.teams.begin".into(),
            key: None,
            deadline,
            traceparent: None,
            command: BeginTeam(registered).into(),
        };
        let answer = self.submit_by_team(request).await;
        answer.seen_at().ok_or_else(|| TeamsError::Away(format!("the team could not begin: {answer:?}")))
    }

    /// Founds the cluster, unless it is founded already, and checks that this node's keys are the cluster's.
    ///
    /// # Errors
    /// All of [`FoundingError`].
    pub async fn found_cluster(&self, wait: Duration) -> Result<Uuid, FoundingError> {
        let cluster_id = Uuid::new_v4();
        let key_check = self.inner.secrets.key_check(cluster_id);
        let deadline = Instant::now() + wait;
        let answer = loop {
            let found = DirectoryRequest::Found { cluster_id, key_check: key_check.clone(), deadline };
            match self.inner.writers.register(found).await {
                // Another node writes the directory, or this one is about to.
                Answer::NotAccepted { why: NotAccepted::NotOwner, .. }
                    if Instant::now() < deadline && self.cluster().is_none() =>
                {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                answer => break answer,
            }
        };
        match answer.seen_at() {
            Some((_, seen_at)) => {
                let waited = self.inner.directory.wait_for(seen_at.offset).await;
                waited.map_err(|why| FoundingError::NotKnown(why.to_string()))?;
            }
            // Another node may have founded it.
            None if self.cluster().is_none() => return Err(FoundingError::NotKnown(format!("{answer:?}"))),
            None => {}
        }
        self.cluster().unwrap_or_else(|| Err(FoundingError::NotKnown("it has not been read".to_owned())))
    }

    /// Returns the cluster's id, as read from the directory; `None` if its founding was not read yet.
    ///
    /// # Errors
    /// All of [`FoundingError`] but `NotKnown`.
    pub fn cluster(&self) -> Option<Result<Uuid, FoundingError>> {
        let founded = self.inner.directory.with(|directory| directory.cluster().cloned())?;
        if !self.inner.secrets.founded(founded.cluster_id, &founded.key_check) {
            return Some(Err(FoundingError::OtherKeys(founded.cluster_id)));
        }
        let (cluster, here) = (founded.cluster_id, self.inner.partitions);
        let founded = founded.partitions.unsigned_abs();
        if founded != here {
            return Some(Err(FoundingError::OtherPartitions { cluster, founded, here }));
        }
        Some(Ok(cluster))
    }

    /// Returns the partitions of `events` that this process writes: those whose newest counted claim is its own.
    pub fn writes(&self) -> Vec<u32> {
        self.inner.local.as_ref().map_or_else(Vec::new, |local| local.writes())
    }

    /// Whether this process writes the directory.
    pub fn writes_directory(&self) -> bool {
        self.inner.local.as_ref().is_some_and(|local| local.writes_directory())
    }

    /// Where commands go.
    pub fn writers(&self) -> &Arc<dyn Writers> {
        &self.inner.writers
    }

    /// The live teams.
    pub fn teams(&self) -> &Teams {
        &self.inner.teams
    }

    /// The directory.
    pub fn directory(&self) -> &DirectoryHandle {
        &self.inner.directory
    }

    /// The read marks.
    pub fn marks(&self) -> &Marks {
        &self.inner.marks
    }

    /// The keys that tokens, tickets and cursors are made with.
    pub fn secrets(&self) -> &Arc<Secrets> {
        &self.inner.secrets
    }
}
