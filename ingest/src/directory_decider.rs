//! The decider of the topic `directory`: which team owns a domain.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use teamlog_live::{DirectoryHandle, Teams};
use teamlog_log::{Offset, Position, TopicPartition};
use teamlog_schemas::{ClusterFounded, Event, TeamRegistered, UserId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Decision, NewTeam, NotAccepted, Nothing, Now, Refusal,
    decide::decide_team,
    writer::{Decider, Loaded, Lookup},
};

/// A command to the writer of the directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DirectoryRequest {
    /// Founds the cluster: makes the first event of the directory.
    Found {
        /// The cluster's identity.
        cluster_id: Uuid,
        /// Its key's check, as [`Secrets::key_check`](teamlog_cluster::Secrets::key_check) makes it.
        key_check: String,
        /// The moment when the caller stops waiting.
        #[serde(skip, default = "Instant::now")]
        deadline: Instant,
    },
    /// Registers a team under a domain.
    Register(Box<NewTeam>),
}

impl DirectoryRequest {
    /// Returns this request with another deadline.
    pub(crate) fn until(mut self, until: Instant) -> DirectoryRequest {
        match &mut self {
            DirectoryRequest::Found { deadline, .. } => *deadline = until,
            DirectoryRequest::Register(new) => new.deadline = until,
        }
        self
    }

    /// Returns the moment when the caller stops waiting.
    pub(crate) fn deadline(&self) -> Instant {
        match self {
            DirectoryRequest::Found { deadline, .. } => *deadline,
            DirectoryRequest::Register(new) => new.deadline,
        }
    }
}

/// The events that this writer appended since it took the directory over. All older ones are in the counted directory.
#[derive(Default)]
pub(crate) struct Ahead {
    domains: HashMap<String, Arc<Event>>,
    founded: bool,
}

pub(crate) struct DirectoryDecider {
    pub(crate) directory: DirectoryHandle,
    pub(crate) teams: Teams,
    pub(crate) partitions: u32,
    /// The shard of a partition.
    pub(crate) shard_of: Arc<dyn Fn(u32) -> String + Send + Sync>,
}

impl Decider for DirectoryDecider {
    type Request = DirectoryRequest;
    type Lane = ();
    type State = Ahead;
    /// The offset of the registration of the wanted domain.
    type Wanted = Offset;
    /// The registration at that offset.
    type Facts = Option<Arc<Event>>;

    fn lane(&self, _: &DirectoryRequest) {}

    fn actor(&self, _: &DirectoryRequest) -> Option<UserId> {
        None
    }

    fn deadline(&self, request: &DirectoryRequest) -> Instant {
        request.deadline()
    }

    fn traceparent(&self, _: &DirectoryRequest) -> Option<Bytes> {
        None
    }

    fn load(&self, (): (), reflect: Offset) -> Lookup<Loaded<Ahead>> {
        let directory = self.directory.clone();
        Box::pin(async move {
            directory.wait_for(reflect).await.map_err(|_| NotAccepted::LogAway)?;
            Ok((Ahead::default(), Position::START))
        })
    }

    fn wanted(&self, state: &Ahead, request: &DirectoryRequest) -> Option<Offset> {
        let DirectoryRequest::Register(new) = request else { return None };
        new.key.as_ref()?;
        if state.domains.contains_key(&new.domain) {
            return None;
        }
        self.directory.with(|directory| directory.by_domain(&new.domain).map(|entry| Offset(entry.offset)))
    }

    fn facts(&self, (): (), wanted: Vec<Offset>) -> Lookup<Loaded<Vec<Self::Facts>>> {
        let teams = self.teams.clone();
        Box::pin(async move {
            let mut read = Vec::with_capacity(wanted.len());
            for offset in wanted {
                // The directory has this offset, so the registration exists. If it cannot be read now, that does not mean
                // that it was never written.
                read.push(Some(registration(&teams, offset).await.ok_or(NotAccepted::LogAway)?));
            }
            // A registration never changes, so it is true at every later position too.
            Ok((read, teams.feed().position(TopicPartition::DIRECTORY)))
        })
    }

    fn apply(&self, state: &mut Ahead, event: &Arc<Event>) {
        if let Event::TeamRegistered(registered) = &**event {
            state.domains.entry(registered.domain.clone()).or_insert_with(|| event.clone());
        } else if let Event::ClusterFounded(_) = &**event {
            state.founded = true;
        }
    }

    fn apply_facts(&self, _: &mut Self::Facts, _: &Arc<Event>) {}

    fn belongs(&self, (): (), _: &Event) -> bool {
        true
    }

    fn written(&self, state: &Ahead, facts: &Self::Facts, request: &DirectoryRequest) -> Option<Arc<Event>> {
        let DirectoryRequest::Register(new) = request else { return None };
        let event = state.domains.get(&new.domain).or(facts.as_ref())?;
        let Event::TeamRegistered(registered) = &**event else { return None };
        is_repeat(registered, new).then(|| event.clone())
    }

    fn decide(
        &self,
        state: &Ahead,
        _: &Self::Facts,
        request: &DirectoryRequest,
        now: Now<'_>,
    ) -> Result<Decision, Refusal> {
        match request {
            DirectoryRequest::Found { cluster_id, key_check, .. } => {
                if state.founded || self.directory.with(|directory| directory.cluster().is_some()) {
                    return Ok(Decision::Nothing(Nothing::AlreadyBegun));
                }
                Ok(Decision::Event(Event::ClusterFounded(ClusterFounded {
                    event_id: now.event_id,
                    at: now.at,
                    cluster_id: *cluster_id,
                    key_check: key_check.clone(),
                    partitions: i32::try_from(self.partitions).unwrap_or(i32::MAX),
                })))
            }
            DirectoryRequest::Register(new) => self.directory.with(|directory| {
                let taken = |domain: &str| state.domains.contains_key(domain) || directory.by_domain(domain).is_some();
                let exists = |team| {
                    directory.by_team(team).is_some() || state.domains.values().any(|event| event.team() == Some(team))
                };
                decide_team(new, taken, exists, self.partitions, |partition| (self.shard_of)(partition), now)
                    .map(Decision::Event)
            }),
        }
    }
}

/// Whether `new` repeats `registered`. A key of this method is valid only for one domain and one owner's email address.
fn is_repeat(registered: &TeamRegistered, new: &NewTeam) -> bool {
    let email = |text: Option<&str>| text.map(str::to_lowercase);
    new.key.is_some()
        && registered.meta.key == new.key
        && email(registered.owner.email.as_ref().map(|text| text.as_str())) == email(new.owner.email.as_deref())
}

/// Reads the registration at an offset of the directory.
pub(crate) async fn registration(teams: &Teams, offset: Offset) -> Option<Arc<Event>> {
    let mut reader = teams.feed().log().reader(vec![(TopicPartition::DIRECTORY, offset)]).await.ok()?;
    let batch = tokio::time::timeout(std::time::Duration::from_secs(5), reader.next()).await.ok()?.ok()?;
    let record = batch.records.first().filter(|record| record.offset == offset)?;
    Event::decode(record.value.as_deref()?).ok().map(Arc::new)
}
