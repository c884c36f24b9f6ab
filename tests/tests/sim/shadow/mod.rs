//! The shadow model: what is true of the raw log, folded from the words of the protocol, and held against everything
//! that nodes and clients say. The numbers are those of the invariants in ARCHITECTURE.md.

mod fence;
mod places;
mod shown;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use teamlog_log::{BARRIER_SCHEMA, Offset, Partition, Position, Record, TopicPartition, testing::FaultyLog};
use teamlog_schemas::{ConversationId, Event, ScheduleId, TeamId, Ts, UserId};
use teamlog_state::{Team, WriteKey};
use uuid::Uuid;

use self::fence::Fence;
pub(crate) use self::{
    places::{At, Place, cursor_place, ticket_place},
    shown::{Memberships, Shown},
};

/// A clock that is off carries a `ts` no further ahead than its bound of two seconds; and than the heartbeat by which it is
/// held to that was on its way, for as long as a node may be stopped.
const AHEAD_MS_MAX: i64 = 20_000;

/// The true state of all partitions of `events`.
pub(crate) struct Shadow {
    log: Arc<FaultyLog>,
    partitions: Vec<PartitionShadow>,
    /// Every counted event by its id, with its partition.
    by_id: HashMap<Uuid, (Partition, Offset)>,
    /// Every counted keyed write.
    by_key: HashMap<(TeamId, WriteKey), Uuid>,
    /// Every counted post by its text, for texts are never the same.
    by_text: HashMap<String, Offset>,
}

#[derive(Default)]
struct PartitionShadow {
    fence: Fence,
    /// The position at each offset, the end included: `positions[n]` is where a reader of all below `n` stands.
    positions: Vec<Position>,
    counted: Vec<Counted>,
    teams: BTreeMap<TeamId, TeamShadow>,
}

#[derive(Default)]
struct TeamShadow {
    now: Memberships,
    last_ts: Ts,
    /// Scheduled messages that wait, and when they are due.
    scheduled: BTreeMap<ScheduleId, Ts>,
    /// When who came to or left what: the first offset at which it is so.
    changes: BTreeMap<(ConversationId, UserId), Vec<(Offset, bool)>>,
}

/// An event that counts.
pub(crate) struct Counted {
    pub(crate) offset: Offset,
    pub(crate) team: TeamId,
    pub(crate) event: Arc<Event>,
    pub(crate) shown: Vec<Shown>,
}

impl TeamShadow {
    /// Notes what an event does to a scheduled message, and says what is wrong with it: each is posted once, and not before its
    /// time, or deleted.
    fn schedule(&mut self, event: &Event) -> Option<String> {
        if let Event::MessageScheduled(e) = event {
            let is_new = self.scheduled.insert(e.schedule, e.due).is_none();
            return (!is_new).then(|| format!("{} is scheduled twice", e.schedule));
        }
        let ended = teamlog_state::unscheduled_by(event)?;
        match (self.scheduled.remove(&ended), event) {
            (None, _) => Some(format!("{ended} is posted or deleted though it did not wait")),
            (Some(due), Event::MessagePosted(e)) if e.message.ts < due => {
                Some(format!("{ended} is posted before its time"))
            }
            (Some(_), _) => None,
        }
    }
}

impl Shadow {
    pub(crate) fn new(log: Arc<FaultyLog>, partitions: u32) -> Shadow {
        let empty = || PartitionShadow { positions: vec![Position::START], ..PartitionShadow::default() };
        Shadow {
            log,
            partitions: (0..partitions).map(|_| empty()).collect(),
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            by_text: HashMap::new(),
        }
    }

    /// Takes what came into the log since.
    ///
    /// # Errors
    /// What of it breaks an invariant.
    pub(crate) fn advance(&mut self) -> Result<(), String> {
        for number in 0..self.partitions.len() {
            let partition = Partition(number as u32);
            let from = self.end(partition);
            for record in self.log.records_from(TopicPartition::events(partition), from) {
                self.take(partition, &record)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, partition: Partition, record: &Record) -> Result<(), String> {
        let here = &mut self.partitions[partition.0 as usize];
        let counts = here.fence.counts(record.offset, record.stamp);
        here.positions.push(here.fence.at(record.offset.next()));
        let is_claim = matches!(record.stamp, teamlog_log::Stamp::Claim { .. });
        if !counts || is_claim || record.schema_id() == Some(BARRIER_SCHEMA) {
            return Ok(());
        }
        let event = Event::decode(record.value.as_deref().unwrap_or_default()).map_err(|why| why.to_string())?;
        let (event, offset) = (Arc::new(event), record.offset);
        let (Some(meta), place) = (event.meta(), format!("{partition}/{offset}")) else { return Ok(()) };
        let (team, event_id) = (meta.team, meta.event_id);
        // 1: exactly once.
        if let Some(first) = self.by_id.insert(event_id, (partition, offset)) {
            return Err(format!("invariant 1: the event at {place} counts a second time, first at {first:?}"));
        }
        if let Some(key) = WriteKey::of(&event)
            && self.by_key.insert((team, key.clone()), event_id).is_some()
        {
            return Err(format!("invariant 1: {key:?} counts a second time, at {place}"));
        }
        let it = here.teams.entry(team).or_default();
        // 2: the `ts` of what is said strictly increases.
        if let Event::MessagePosted(posted) = &*event {
            let text = posted.message.text.plain.clone();
            if self.by_text.insert(text.clone(), offset).is_some() {
                return Err(format!("invariant 1: {text:?} counts a second time, at {place}"));
            }
        }
        if let Some(why) = it.schedule(&event) {
            return Err(format!("invariant 1: {why}, at {place}"));
        }
        let given: Vec<Ts> = event.messages().into_iter().map(|(_, message)| message.ts).collect();
        for ts in given {
            if ts <= it.last_ts {
                return Err(format!("invariant 2: the ts {ts} at {place} is not above {}", it.last_ts));
            }
            it.last_ts = ts;
        }
        it.last_ts = it.last_ts.max(event.given_ts());
        let ahead_ms = it.last_ts.micros() / 1_000 - record.timestamp_ms;
        if ahead_ms > AHEAD_MS_MAX {
            return Err(format!("the ts at {place} is {ahead_ms} ms ahead of the log's clock"));
        }
        let shown = it.now.pass(&event);
        for change in event.memberships() {
            it.changes.entry((change.conversation, change.user)).or_default().push((offset.next(), change.joined));
        }
        here.counted.push(Counted { offset, team, event, shown });
        Ok(())
    }

    /// The scheduled messages that wait though they were due before.
    pub(crate) fn overdue(&self, before: Ts) -> Vec<ScheduleId> {
        let teams = self.partitions.iter().flat_map(|here| here.teams.values());
        let waiting = teams.flat_map(|team| team.scheduled.iter());
        waiting.filter(|(_, due)| **due < before).map(|(id, _)| *id).collect()
    }

    /// How far the log of a partition reaches.
    pub(crate) fn end(&self, partition: Partition) -> Offset {
        Offset(self.partitions[partition.0 as usize].positions.len() as u64 - 1)
    }

    /// Where a reader stands that has read everything below an offset.
    pub(crate) fn position(&self, partition: Partition, offset: Offset) -> Option<Position> {
        self.partitions[partition.0 as usize].positions.get(offset.0 as usize).copied()
    }

    /// Whether the newest epoch of some partition is closed by a gap, and no other one has begun.
    pub(crate) fn is_closed(&self) -> bool {
        let ends = self.partitions.iter().filter_map(|here| here.positions.last());
        ends.into_iter().any(|end| end.epoch > 0 && end.next_seq.is_none())
    }

    /// How many claims count in all: each begins an epoch.
    pub(crate) fn claims(&self) -> u64 {
        self.partitions.iter().filter_map(|here| here.positions.last()).map(|end| end.epoch).sum()
    }

    /// The events of a partition that count.
    pub(crate) fn counted(&self, partition: Partition) -> &[Counted] {
        &self.partitions[partition.0 as usize].counted
    }

    /// How many events count in all.
    pub(crate) fn counted_len(&self) -> usize {
        self.partitions.iter().map(|here| here.counted.len()).sum()
    }

    /// Invariant 1 at an acknowledgement: the event counts by now, below the position that it is said to be seen at.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn acknowledged(&mut self, event: &Event, seen_at: Position) -> Result<(), String> {
        self.advance()?;
        let event_id = event.meta().map(|meta| meta.event_id).unwrap_or_default();
        match self.by_id.get(&event_id) {
            None => Err(format!("invariant 1: acknowledged, and does not count: {event:?}")),
            Some((_, offset)) if *offset >= seen_at.offset => {
                Err(format!("an event at {offset} is said to be seen at {}", seen_at.offset))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether a post counts.
    pub(crate) fn counts(&self, text: &str) -> bool {
        self.by_text.contains_key(text)
    }

    /// Whether somebody was in a conversation (or was not) at some moment while the log ended between two offsets.
    pub(crate) fn was_in(
        &self,
        (partition, team): (Partition, TeamId),
        (conversation, user): (ConversationId, UserId),
        wanted: bool,
        (from, to): (Offset, Offset),
    ) -> bool {
        let changes = self.partitions[partition.0 as usize]
            .teams
            .get(&team)
            .and_then(|team| team.changes.get(&(conversation, user)));
        let changes = changes.map_or(&[][..], Vec::as_slice);
        let before = changes.iter().rev().find(|(offset, _)| *offset <= from).is_some_and(|(_, is_in)| *is_in);
        let meanwhile = changes.iter().filter(|(offset, _)| *offset > from && *offset <= to);
        before == wanted || meanwhile.into_iter().any(|(_, is_in)| *is_in == wanted)
    }

    /// Returns the current memberships of a team.
    pub(crate) fn memberships(&self, partition: Partition, team: TeamId) -> Memberships {
        self.partitions[partition.0 as usize].teams.get(&team).map(|team| team.now.clone()).unwrap_or_default()
    }

    /// A team folded from the beginning up to an offset.
    pub(crate) fn team_at(&self, partition: Partition, team: TeamId, end: Offset) -> Option<Team> {
        let counted = &self.partitions[partition.0 as usize].counted;
        let mut folded: Option<Team> = None;
        for one in counted.iter().filter(|one| one.team == team && one.offset < end) {
            match &mut folded {
                Some(team) => team.apply(&one.event),
                None => folded = Team::begin(&one.event),
            }
        }
        folded
    }
}
