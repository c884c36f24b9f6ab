//! A replica of the shard in memory: what it has committed survives its node's crashes, and lags behind the log.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rand::{Rng, SeedableRng, rngs::StdRng};
use teamlog_log::{
    Entry, Feed, Offset, Partition, Position, TopicPartition,
    testing::{Rule, is_left_out},
};
use teamlog_schemas::{ConversationId, Event, TeamId, Ts, UserId, partition_of};
use teamlog_state::{
    At, Facts, FactsWanted, SourceError, Team, TeamRows, TeamSource, Timer, TimerKey, UserState, WriteKey, timer_of,
    unscheduled_by,
};
use tokio_util::sync::CancellationToken;

/// The replica of one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    /// By partition: what is committed.
    committed: Arc<Mutex<Vec<Rows>>>,
    /// The longest time between reading and committing.
    lag: Duration,
}

/// The rows of one partition, and what they reflect.
struct Rows {
    position: Position,
    teams: BTreeMap<TeamId, Team>,
    keys: HashMap<WriteKey, Arc<Event>>,
    /// The events from which facts about messages are built.
    messages: BTreeMap<ConversationId, Vec<Arc<Event>>>,
}

impl Store {
    pub(crate) fn new(partitions: u32, lag: Duration) -> Store {
        let empty = || Rows {
            position: Position::START,
            teams: BTreeMap::new(),
            keys: HashMap::new(),
            messages: BTreeMap::new(),
        };
        Store { committed: Arc::new(Mutex::new((0..partitions).map(|_| empty()).collect())), lag }
    }

    /// Returns the committed position of each partition.
    pub(crate) fn positions(&self) -> Vec<Position> {
        self.committed.lock().unwrap().iter().map(|rows| rows.position).collect()
    }

    /// A team as it is committed.
    pub(crate) fn committed(&self, partition: Partition, team: TeamId) -> (Position, Option<TeamRows>) {
        let all = self.committed.lock().unwrap();
        let rows = &all[partition.0 as usize];
        (rows.position, rows.teams.get(&team).map(Team::to_rows))
    }

    /// Follows a feed, in tasks that end with `stop`: what they had not committed is lost.
    pub(crate) fn project(&self, feed: &Feed<Event>, seed: u64, stop: &CancellationToken) {
        for (number, position) in (0..).zip(self.positions()) {
            let (store, partition) = (self.clone(), Partition(number));
            let mut rng = StdRng::seed_from_u64(seed ^ u64::from(number));
            let mut subscriber = feed.subscribe(TopicPartition::events(partition), position);
            tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                let mut read = Vec::new();
                loop {
                    match subscriber.next().await {
                        Ok(entries) => read.extend(entries),
                        Err(why) if why.may_pass() => tokio::time::sleep(Duration::from_millis(200)).await,
                        Err(_) => return,
                    }
                    tokio::time::sleep(store.lag.mul_f64(rng.random())).await;
                    store.commit(partition, std::mem::take(&mut read));
                }
            }));
        }
    }

    /// Rows and position in one step.
    fn commit(&self, partition: Partition, entries: Vec<Arc<Entry<Event>>>) {
        let mut all = self.committed.lock().unwrap();
        let rows = &mut all[partition.0 as usize];
        for entry in entries {
            if let Some(event) = entry.event() {
                rows.apply(event);
            }
            let before = rows.position.next_seq;
            rows.position = entry.after;
            if is_left_out(Rule::Closed) {
                rows.position.next_seq = rows.position.next_seq.or(before);
            }
        }
    }

    fn read<T>(&self, team: TeamId, read: impl FnOnce(&Rows) -> T) -> At<Position, T> {
        let all = self.committed.lock().unwrap();
        let rows = &all[partition_of(team, all.len() as u32) as usize];
        At { position: rows.position, rows: read(rows) }
    }
}

impl Rows {
    fn apply(&mut self, event: &Arc<Event>) {
        let Some(id) = event.team() else { return };
        match self.teams.get_mut(&id) {
            Some(team) => team.apply(event),
            None => self.teams.extend(Team::begin(event).map(|team| (id, team))),
        }
        if let Some(key) = WriteKey::of(event) {
            self.keys.entry(key).or_insert_with(|| event.clone());
        }
        if let Some(conversation) = event.conversation() {
            self.messages.entry(conversation).or_default().push(event.clone());
        }
    }

    fn facts(&self, wanted: &FactsWanted) -> Facts {
        let write = wanted.key.as_ref().and_then(|key| self.keys.get(key)).cloned();
        let mut facts = Facts { write, ..Facts::of_no_rows(wanted) };
        let named = wanted.messages.iter().chain(&wanted.replies).chain(&wanted.windows);
        let mut conversations: std::collections::BTreeSet<_> = named.map(|(conversation, _)| *conversation).collect();
        if !wanted.scheduled.is_empty() {
            conversations.extend(self.messages.keys());
        }
        let events = conversations.iter().filter_map(|conversation| self.messages.get(conversation)).flatten();
        events.for_each(|event| facts.apply(event));
        facts
    }

    fn timers(&self) -> BTreeMap<TimerKey, Timer> {
        let mut timers = BTreeMap::new();
        for event in self.messages.values().flatten() {
            timers.extend(timer_of(event).map(|timer| (timer.key, timer)));
            if let (Some(team), Some(schedule)) = (event.team(), unscheduled_by(event)) {
                timers.retain(|key, _| (key.team, key.schedule) != (team, schedule));
            }
        }
        timers
    }
}

#[async_trait]
impl TeamSource<Position> for Store {
    async fn team(&self, _: &str, team: TeamId) -> Result<At<Position, Option<TeamRows>>, SourceError> {
        Ok(self.read(team, |rows| rows.teams.get(&team).map(Team::to_rows)))
    }

    async fn facts(
        &self,
        _: &str,
        team: TeamId,
        wanted: &[FactsWanted],
    ) -> Result<At<Position, Vec<Facts>>, SourceError> {
        Ok(self.read(team, |rows| wanted.iter().map(|wanted| rows.facts(wanted)).collect()))
    }

    async fn timers(
        &self,
        _: &str,
        partition: u32,
        until: Ts,
        limit: usize,
    ) -> Result<At<Position, Vec<Timer>>, SourceError> {
        let all = self.committed.lock().unwrap();
        let rows = &all[partition as usize];
        let timers = rows.timers().into_values().take_while(|timer| timer.key.due < until).take(limit);
        Ok(At { position: rows.position, rows: timers.collect() })
    }

    async fn user(&self, _: &str, _: TeamId, _: UserId) -> Result<At<Position, UserState>, SourceError> {
        Ok(At { position: Position::bare(Offset::ZERO), rows: UserState::default() })
    }
}
