//! Read marks: acknowledged from memory, written together every two seconds, last one wins. A crash may lose those
//! two seconds; nothing else may.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use teamlog_log::{NewRecord, Partition, Stamp, Topic, TopicPartition};
use teamlog_schemas::{ConversationId, Event, Meta, ReadMarked, TeamId, Ts, UserId};
use teamlog_state::{TeamSource, UserState};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{Clock, DirectoryHandle, Teams, TeamsError};

/// How long marks are gathered before they are written.
const COALESCE: Duration = Duration::from_secs(2);
/// People whose marks are kept in memory.
const PEOPLE_MAX: u64 = 100_000;

type Who = (TeamId, UserId);

/// The marks of everybody whom this node serves. Cheap to clone.
#[derive(Clone)]
pub struct Marks {
    inner: Arc<Inner>,
}

struct Inner {
    teams: Teams,
    directory: DirectoryHandle,
    source: Arc<dyn TeamSource<teamlog_log::Position>>,
    clock: Clock,
    people: moka::future::Cache<Who, Arc<Mutex<UserState>>>,
    /// Not written yet. Bounded: people times conversations that changed within two seconds, at the rate limit.
    dirty: Mutex<HashMap<(TeamId, UserId, ConversationId), Ts>>,
}

impl Marks {
    pub(crate) fn start(
        teams: Teams,
        directory: DirectoryHandle,
        source: Arc<dyn TeamSource<teamlog_log::Position>>,
        clock: Clock,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Marks {
        let people = moka::future::Cache::new(PEOPLE_MAX);
        let marks =
            Marks { inner: Arc::new(Inner { teams, directory, source, clock, people, dirty: Mutex::default() }) };
        let writer = marks.clone();
        tasks.spawn(async move {
            loop {
                let stopping = tokio::time::timeout(COALESCE, stop.cancelled()).await.is_ok();
                writer.flush().await;
                if stopping {
                    return;
                }
            }
        });
        marks
    }

    /// What belongs to one person alone, with the marks that were set here a moment ago.
    ///
    /// # Errors
    /// [`TeamsError::Away`] if no replica of the shard answers.
    pub async fn user(&self, team: TeamId, user: UserId) -> Result<UserState, TeamsError> {
        Ok(self.state(team, user).await?.lock().clone())
    }

    /// Sets how far somebody has read; may go back.
    ///
    /// # Errors
    /// As [`Marks::user`].
    pub async fn mark(
        &self,
        team: TeamId,
        user: UserId,
        conversation: ConversationId,
        ts: Ts,
    ) -> Result<(), TeamsError> {
        let state = self.state(team, user).await?;
        state.lock().marks.insert(conversation, ts);
        self.inner.dirty.lock().insert((team, user, conversation), ts);
        Ok(())
    }

    async fn state(&self, team: TeamId, user: UserId) -> Result<Arc<Mutex<UserState>>, TeamsError> {
        let load = async {
            let entry = self.inner.directory.by_team(team).ok_or(TeamsError::NotFound)?;
            let at = self.inner.source.user(&entry.shard, team, user).await;
            let at = at.map_err(|why| TeamsError::Away(why.to_string()))?;
            let mut state = at.rows;
            let marks = TopicPartition { topic: Topic::Marks, partition: Partition(entry.partition) };
            for one in self.inner.teams.feed().scan(marks, at.position).await? {
                if let Some(Event::ReadMarked(mark)) = one.event().map(|event| &**event)
                    && mark.meta.team == team
                    && mark.meta.actor == Some(user)
                {
                    state.marks.insert(mark.conversation, mark.ts);
                }
            }
            Ok::<_, TeamsError>(Arc::new(Mutex::new(state)))
        };
        self.inner.people.try_get_with((team, user), load).await.map_err(|why| (*why).clone())
    }

    async fn flush(&self) {
        let dirty = std::mem::take(&mut *self.inner.dirty.lock());
        let mut by_partition: HashMap<u32, Vec<NewRecord>> = HashMap::new();
        for ((team, user, conversation), ts) in dirty {
            let Some(entry) = self.inner.directory.by_team(team) else { continue };
            let meta = Meta {
                event_id: Uuid::now_v7(),
                team,
                actor: Some(user),
                at: self.inner.clock.now(),
                key: None,
                method: None,
            };
            let Ok(value) = Event::from(ReadMarked { meta, conversation, ts }).encode() else { continue };
            by_partition.entry(entry.partition).or_default().push(NewRecord {
                key: Some(Bytes::from(format!("{team}/{user}/{conversation}"))),
                value: Some(value),
                stamp: Stamp::Absent,
                writer: None,
                traceparent: None,
            });
        }
        for (partition, records) in by_partition {
            let to = TopicPartition { topic: Topic::Marks, partition: Partition(partition) };
            // A mark that is lost is one that may be: the next one of its conversation replaces it.
            let outcomes = self.inner.teams.feed().log().append(to, records).await;
            let lost = outcomes.iter().filter(|outcome| !matches!(outcome, teamlog_log::Appended::At(_))).count();
            metrics::counter!("teamlog_marks_lost_total").increment(lost as u64);
        }
    }
}
