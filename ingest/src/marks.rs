//! Read marks: acknowledged from memory, written together every two seconds, last one wins. A crash may lose those
//! two seconds; nothing else may, so what the log does not take is kept and tried again. Marks that another node wrote,
//! where a team's home moves, are read from the log.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use teamlog_log::{Appended, FeedError, NewRecord, Partition, Position, Stamp, Topic, TopicPartition};
use teamlog_schemas::{ConversationId, Event, Meta, ReadMarked, TeamId, Ts, UserId};
use teamlog_state::{TeamSource, UserState};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;
use uuid::Uuid;

use crate::{Clock, DirectoryHandle, Teams, TeamsError};

/// How long marks are gathered before they are written.
const COALESCE: Duration = Duration::from_secs(2);
/// Before marks are read again after the log failed.
const FOLLOW_AGAIN: Duration = Duration::from_millis(200);
/// People whose marks are kept in memory.
const PEOPLE_MAX: u64 = 100_000;
/// Marks that wait for the log, beside those that a flush under way has taken. At the bound new ones are refused.
const DIRTY_MAX: usize = 200_000;

type Who = (TeamId, UserId);
type Which = (TeamId, UserId, ConversationId);
/// What is written together: marks, and their records.
type Batch = (Vec<(Which, Ts)>, Vec<NewRecord>);

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
    /// Not written yet.
    dirty: Mutex<HashMap<Which, Ts>>,
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
        let feed = marks.inner.teams.feed();
        for source in feed.partitions().filter(|source| source.topic == Topic::Marks) {
            let follow = marks.clone().follow(source, feed.position(source));
            tokio::spawn(stop.child_token().run_until_cancelled_owned(follow));
        }
        let writer = marks.clone();
        tasks.spawn(async move {
            loop {
                let stopping = tokio::time::timeout(COALESCE, stop.cancelled()).await.is_ok();
                writer.flush().await;
                if stopping {
                    let lost = writer.inner.dirty.lock().len();
                    metrics::counter!("teamlog_marks_lost_total").increment(lost as u64);
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
    /// As [`Marks::user`], and [`TeamsError::Away`] while too many wait for a log that is away.
    pub async fn mark(
        &self,
        team: TeamId,
        user: UserId,
        conversation: ConversationId,
        ts: Ts,
    ) -> Result<(), TeamsError> {
        let state = self.state(team, user).await?;
        let which = (team, user, conversation);
        let mut dirty = self.inner.dirty.lock();
        if dirty.len() >= DIRTY_MAX && !dirty.contains_key(&which) {
            return Err(TeamsError::Away("too many marks wait for the log".to_owned()));
        }
        dirty.insert(which, ts);
        state.lock().marks.insert(conversation, ts);
        Ok(())
    }

    /// Takes what the log says of people whose state is kept here: their marks may have been set on another node.
    async fn follow(self, source: TopicPartition, from: Position) {
        let mut subscriber = self.inner.teams.feed().subscribe(source, from);
        loop {
            let entries = match subscriber.next().await {
                Ok(entries) => entries,
                Err(why) if why.may_pass() => {
                    tokio::time::sleep(FOLLOW_AGAIN).await;
                    continue;
                }
                Err(FeedError::Stopping) => return,
                Err(why) => return warn!(%source, %why, "marks of other nodes are not followed any more"),
            };
            for event in entries.iter().filter_map(|entry| entry.event()) {
                let Event::ReadMarked(ReadMarked { meta, conversation, ts }) = &**event else { continue };
                let Some(user) = meta.actor else { continue };
                let Some(state) = self.inner.people.get(&(meta.team, user)).await else { continue };
                // What is still to be written was set later, and is the last one.
                if !self.inner.dirty.lock().contains_key(&(meta.team, user, *conversation)) {
                    state.lock().marks.insert(*conversation, *ts);
                }
            }
        }
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
        let mut by_partition: HashMap<u32, Batch> = HashMap::new();
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
            let (marks, records) = by_partition.entry(entry.partition).or_default();
            marks.push(((team, user, conversation), ts));
            records.push(NewRecord {
                key: Some(Bytes::from(format!("{team}/{user}/{conversation}"))),
                value: Some(value),
                stamp: Stamp::Absent,
                writer: None,
                traceparent: None,
            });
        }
        for (partition, (marks, records)) in by_partition {
            let to = TopicPartition { topic: Topic::Marks, partition: Partition(partition) };
            let outcomes = self.inner.teams.feed().log().append(to, records).await;
            let failed = marks.into_iter().zip(outcomes).filter(|(_, outcome)| !matches!(outcome, Appended::At(_)));
            let mut dirty = self.inner.dirty.lock();
            for ((which, ts), _) in failed {
                // One that was set meanwhile is the last one, and that wins. To write a mark twice does no harm.
                dirty.entry(which).or_insert(ts);
            }
        }
        metrics::gauge!("teamlog_marks_waiting").set(self.inner.dirty.lock().len() as f64);
    }
}
