//! Read marks: acknowledged from memory, written together every two seconds, last one wins. A crash may lose those
//! two seconds; nothing else may, so marks that could not be written are kept and retried. Marks that another node
//! wrote, when a team's home moves, are read from the log.
//!
//! Two nodes may hold marks of one person while a home moves, and the older mark may be appended last. So each record says
//! when its mark was set. A waiting mark is dropped if one that was set later is read. A node that reads an older mark
//! after its own writes its own again. Readers of the log do not need to know this: for them the last record wins.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use teamlog_cluster::Clock;
use teamlog_log::{Appended, FeedError, NewRecord, Partition, Position, Stamp, Topic, TopicPartition};
use teamlog_schemas::{ConversationId, Event, Meta, ReadMarked, TeamId, Ts, UserId};
use teamlog_state::{TeamSource, UserState};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;
use uuid::Uuid;

use super::{DirectoryHandle, Teams, TeamsError, bridge};

/// How long marks are gathered before they are written.
const COALESCE: Duration = Duration::from_secs(2);
/// The pause before marks are read again after the log failed.
const FOLLOW_AGAIN: Duration = Duration::from_millis(200);
/// People whose marks are kept in memory.
const PEOPLE_MAX: u64 = 100_000;
/// The most marks that wait for the log, without those that a flush in flight has taken. Past it, new ones are refused.
const DIRTY_MAX: usize = 200_000;

type Who = (TeamId, UserId);
type Which = (TeamId, UserId, ConversationId);
/// A batch that is written together: marks, and their records.
type Batch = (Vec<(Which, Mark)>, Vec<NewRecord>);

/// The `ts` up to which a person has read. The greater of two marks was set later. Two of the same microsecond may have any
/// order that is the same on all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    /// The time at which it was set, by the clock of the node that set it.
    at: Ts,
    ts: Ts,
}

/// The mark that was set last, of all marks of a person for one conversation that this node knows.
struct Last {
    mark: Mark,
    /// True if it was set on this node.
    is_ours: bool,
}

/// A person's marks on this node.
#[derive(Default)]
struct Person {
    state: UserState,
    /// Does not hold marks that were read from a view: a view does not say when they were set.
    last: HashMap<ConversationId, Last>,
}

impl Person {
    /// Sets a mark, later than all that this node has heard of, whatever its clock says.
    fn set(&mut self, conversation: ConversationId, ts: Ts, now: Ts) -> Mark {
        let at = self.last.get(&conversation).map_or(now, |last| now.max(last.mark.at.next()));
        let mark = Mark { at, ts };
        self.last.insert(conversation, Last { mark, is_ours: true });
        self.state.marks.insert(conversation, ts);
        mark
    }

    /// Takes what the log says. Answers with ours instead if it was set later: it is to be written again.
    fn read(&mut self, conversation: ConversationId, mark: Mark) -> Option<Mark> {
        match self.last.get(&conversation) {
            Some(last) if last.is_ours && last.mark > mark => return Some(last.mark),
            Some(last) if last.mark >= mark => {}
            _ => {
                self.last.insert(conversation, Last { mark, is_ours: false });
            }
        }
        self.state.marks.insert(conversation, mark.ts);
        None
    }

    fn has_later(&self, conversation: ConversationId, mark: Mark) -> bool {
        self.last.get(&conversation).is_some_and(|last| last.mark > mark)
    }
}

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
    people: moka::future::Cache<Who, Arc<Mutex<Person>>>,
    /// Not written yet. Locked before a person is.
    dirty: Mutex<HashMap<Which, Mark>>,
}

impl Marks {
    /// Follows the marks of other nodes and writes those that are set here, in tasks that end with `stop`; the marks that
    /// wait then are written first.
    pub fn start(
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

    /// Returns the state that belongs to one person alone, including marks that were just set on this node.
    ///
    /// # Errors
    /// [`TeamsError::Away`] if no replica of the shard answers.
    pub async fn user(&self, team: TeamId, user: UserId) -> Result<UserState, TeamsError> {
        Ok(self.person(team, user).await?.lock().state.clone())
    }

    /// Sets the `ts` up to which a person has read. It may move back.
    ///
    /// # Errors
    /// As [`Marks::user`], and [`TeamsError::Away`] while too many marks wait for a log that is unavailable.
    pub async fn mark(
        &self,
        team: TeamId,
        user: UserId,
        conversation: ConversationId,
        ts: Ts,
    ) -> Result<(), TeamsError> {
        let person = self.person(team, user).await?;
        let which = (team, user, conversation);
        let mut dirty = self.inner.dirty.lock();
        if dirty.len() >= DIRTY_MAX && !dirty.contains_key(&which) {
            return Err(TeamsError::Away("too many marks wait for the log".to_owned()));
        }
        dirty.insert(which, person.lock().set(conversation, ts, self.inner.clock.now()));
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
                let (which, mark) = ((meta.team, user, *conversation), Mark { at: meta.at, ts: *ts });
                let person = self.inner.people.get(&(meta.team, user)).await;
                let mut dirty = self.inner.dirty.lock();
                if dirty.get(&which).is_some_and(|waiting| *waiting < mark) {
                    dirty.remove(&which);
                }
                if let Some(ours) = person.and_then(|person| person.lock().read(*conversation, mark))
                    && dirty.len() < DIRTY_MAX
                {
                    dirty.entry(which).or_insert(ours);
                }
            }
        }
    }

    async fn person(&self, team: TeamId, user: UserId) -> Result<Arc<Mutex<Person>>, TeamsError> {
        let load = async {
            let entry = self.inner.directory.by_team(team).ok_or(TeamsError::NotFound)?;
            let at = self.inner.source.user(&entry.shard, team, user).await;
            let at = at.map_err(|why| TeamsError::Away(why.to_string()))?;
            let at = at.map(|state| Person { state, ..Person::default() });
            let marks = TopicPartition { topic: Topic::Marks, partition: Partition(entry.partition) };
            let read = bridge::to_end(self.inner.teams.feed(), marks, at, |person, event| {
                if let Event::ReadMarked(mark) = &**event
                    && mark.meta.team == team
                    && mark.meta.actor == Some(user)
                {
                    person.read(mark.conversation, Mark { at: mark.meta.at, ts: mark.ts });
                }
            });
            Ok::<_, TeamsError>(Arc::new(Mutex::new(read.await?.rows)))
        };
        self.inner.people.try_get_with((team, user), load).await.map_err(|why| (*why).clone())
    }

    async fn flush(&self) {
        let dirty = std::mem::take(&mut *self.inner.dirty.lock());
        let mut by_partition: HashMap<u32, Batch> = HashMap::new();
        for ((team, user, conversation), mark) in dirty {
            let Some(entry) = self.inner.directory.by_team(team) else { continue };
            let meta = Meta { event_id: Uuid::now_v7(), team, actor: Some(user), at: mark.at, key: None, method: None };
            let event = Event::from(ReadMarked { meta, conversation, ts: mark.ts });
            let Ok(value) = event.encode() else { continue };
            let (marks, records) = by_partition.entry(entry.partition).or_default();
            marks.push(((team, user, conversation), mark));
            records.push(NewRecord {
                key: event.record_key().map(Bytes::from),
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
            for ((which, mark), _) in failed {
                let (team, user, conversation) = which;
                let person = self.inner.people.get(&(team, user)).await;
                let mut dirty = self.inner.dirty.lock();
                // One that was set meanwhile, here or elsewhere, is the last one. To write a mark twice does no harm.
                if !person.is_some_and(|person| person.lock().has_later(conversation, mark)) {
                    dirty.entry(which).or_insert(mark);
                }
            }
        }
        metrics::gauge!("teamlog_marks_waiting").set(self.inner.dirty.lock().len() as f64);
    }
}
