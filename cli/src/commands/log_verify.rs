//! Checks of a log by itself, without the views. A check gets the entries of one partition in order, after the fence has
//! judged them, and keeps the state that it needs.

use std::collections::{HashMap, HashSet};

use teamlog_log::{Body, Entry, Offset, Partition, TopicPartition};
use teamlog_schemas::{ConversationId, Event, TeamId, Ts, UserId};
use teamlog_state::WriteKey;
use uuid::Uuid;

/// The number of findings that are kept as text; all are counted.
const TOLD_MAX: usize = 100;

/// How long a key is remembered at the least, by the events' own time, in microseconds: a day. Whoever uses it again
/// later writes anew.
const KEYS_KEPT_MICROS: i64 = 86_400_000_000;

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The first findings, as text.
    pub(super) told: Vec<String>,
    /// The number of all findings.
    pub(super) count: u64,
    /// Events that count.
    pub(super) events: u64,
    /// Records that do not count.
    pub(super) void: u64,
}

impl Findings {
    fn add(&mut self, source: TopicPartition, offset: Offset, what: impl std::fmt::Display) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(format!("{source} offset {offset}: {what}"));
        }
    }

    /// The event of an entry, if it is one.
    fn event<'a>(&mut self, entry: &'a Entry<Event>) -> Option<&'a Event> {
        match &entry.body {
            Body::Event(event) => {
                self.events += 1;
                return Some(event);
            }
            Body::Void(_) => self.void += 1,
            Body::Undecodable(why) => self.add(entry.source, entry.offset, format!("counts and cannot be read: {why}")),
            Body::Tombstone(_) => self.add(entry.source, entry.offset, "a tombstone in a topic that is kept for ever"),
            Body::Claim { .. } | Body::Barrier => {}
        }
        None
    }
}

struct Registered {
    domain: String,
    partition: u32,
    shard: String,
}

/// The check of `directory`: a cluster that was founded first and once, domains and teams that were given out once.
#[derive(Default)]
pub(super) struct DirectoryCheck {
    founded: bool,
    domains: HashSet<String>,
    teams: HashMap<TeamId, Registered>,
}

impl DirectoryCheck {
    /// Sees the next entry; `partitions` is how many `events` has.
    pub(super) fn see(&mut self, entry: &Entry<Event>, partitions: u32, findings: &mut Findings) {
        let Some(event) = findings.event(entry) else { return };
        let mut wrong = |what: String| findings.add(entry.source, entry.offset, what);
        if let Event::ClusterFounded(_) = event {
            if std::mem::replace(&mut self.founded, true) {
                wrong("the cluster is founded again".to_owned());
            }
            return;
        }
        let Event::TeamRegistered(e) = event else { return wrong(format!("{} does not belong here", event.name())) };
        if !self.founded {
            wrong("a team before the cluster was founded".to_owned());
        }
        let partition = e.partition.unsigned_abs();
        if e.partition < 0 || partition >= partitions {
            wrong(format!("partition {} of {partitions}", e.partition));
        }
        if !self.domains.insert(e.domain.clone()) {
            wrong(format!("the domain {} is given out again", e.domain));
        }
        let registered = Registered { domain: e.domain.clone(), partition, shard: e.shard.clone() };
        if self.teams.insert(e.meta.team, registered).is_some() {
            wrong(format!("the team {} is registered again", e.meta.team));
        }
    }

    /// How many teams are registered.
    pub(super) fn teams(&self) -> usize {
        self.teams.len()
    }
}

#[derive(Default)]
struct Begun {
    last_ts: Ts,
    people: HashSet<UserId>,
    conversations: HashSet<ConversationId>,
}

/// The check of one partition of `events`.
pub(super) struct PartitionCheck<'a> {
    partition: Partition,
    directory: &'a DirectoryCheck,
    teams: HashMap<TeamId, Begun>,
    event_ids: HashMap<Uuid, Offset>,
    keys: HashMap<(TeamId, WriteKey), (Offset, Ts)>,
}

impl<'a> PartitionCheck<'a> {
    /// `directory` must have seen every registration that events up to the end of the check rely on.
    pub(super) fn new(partition: Partition, directory: &'a DirectoryCheck) -> Self {
        PartitionCheck { partition, directory, teams: HashMap::new(), event_ids: HashMap::new(), keys: HashMap::new() }
    }

    /// Sees the next entry.
    pub(super) fn see(&mut self, entry: &Entry<Event>, findings: &mut Findings) {
        let Some(event) = findings.event(entry) else { return };
        let mut wrong = |what: String| findings.add(entry.source, entry.offset, what);
        let name = event.name();
        let Some(meta) = event.meta() else { return wrong(format!("{name} does not belong here")) };
        if let Some(before) = self.event_ids.insert(meta.event_id, entry.offset) {
            wrong(format!("event {} counts twice, first at offset {before}", meta.event_id));
        }
        if let Some(key) = WriteKey::of(event)
            && let Some((before, at)) = self.keys.insert((meta.team, key), (entry.offset, meta.at))
            && meta.at.micros() - at.micros() < KEYS_KEPT_MICROS
        {
            wrong(format!("a keyed write counts twice, first at offset {before}"));
        }
        if let Event::TeamCreated(e) = event {
            match self.directory.teams.get(&meta.team) {
                None => wrong(format!("team {} is not in the directory", meta.team)),
                Some(of) if of.partition != self.partition.0 => {
                    wrong(format!("team {} belongs to partition {}", meta.team, of.partition));
                }
                Some(of) if of.domain != e.domain || of.shard != e.shard => {
                    wrong(format!("team {} is {} on {} in the directory", meta.team, of.domain, of.shard));
                }
                Some(_) => {}
            }
            let begun = Begun {
                last_ts: Ts::ZERO,
                people: HashSet::from([e.owner.user]),
                conversations: e.channels.iter().map(|channel| channel.conversation).collect(),
            };
            if self.teams.insert(meta.team, begun).is_some() {
                wrong(format!("team {} begins again", meta.team));
            }
            return;
        }
        let Some(team) = self.teams.get_mut(&meta.team) else {
            return wrong(format!("{name} of team {}, which has not begun", meta.team));
        };
        if let Event::UserCreated(e) = event
            && !team.people.insert(e.person.user)
        {
            wrong(format!("user {} is made again", e.person.user));
        }
        if let Event::ConversationCreated(e) = event
            && !team.conversations.insert(e.conversation)
        {
            wrong(format!("conversation {} is made again", e.conversation));
        }
        if let Some(conversation) = event.conversation().filter(|one| !team.conversations.contains(one)) {
            wrong(format!("{name} in {conversation}, which is not there"));
        }
        for change in event.memberships().iter().filter(|change| !team.people.contains(&change.user)) {
            wrong(format!("{name} of {}, who is not there", change.user));
        }
        // What an event gives out lies above everything that was given out before; zero means that it gives out none.
        let given = event.given_ts();
        if given != Ts::ZERO && given <= team.last_ts {
            wrong(format!("{name} gives out {given}, not above {}", team.last_ts));
        }
        team.last_ts = team.last_ts.max(given);
    }

    /// How many teams have begun.
    pub(super) fn teams(&self) -> usize {
        self.teams.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use teamlog_log::Position;
    use teamlog_schemas::{Meta, PasswordSet};

    use super::*;

    /// Returns the findings for two writes with one key, at these two times.
    fn findings_of(first: i64, second: i64) -> Vec<String> {
        let directory = DirectoryCheck::default();
        let mut check = PartitionCheck::new(Partition(0), &directory);
        let (team, user) = (TeamId::random('T', 1), UserId::random('U', 1));
        check.teams.insert(team, Begun { people: HashSet::from([user]), ..Begun::default() });
        let mut findings = Findings::default();
        for (offset, at) in [(0, first), (1, second)] {
            let meta = Meta {
                event_id: Uuid::from_u128(u128::from(offset)),
                team,
                actor: None,
                at: Ts::from_micros(at),
                key: Some("key".to_owned()),
                method: Some("method".to_owned()),
            };
            let event = Event::from(PasswordSet { meta, user, credential_id: Uuid::nil() });
            let entry = Entry {
                source: TopicPartition::events(Partition(0)),
                offset: Offset(offset),
                after: Position::bare(Offset(offset + 1)),
                body: Body::Event(Arc::new(event)),
                timestamp_ms: 0,
                bytes: 0,
            };
            check.see(&entry, &mut findings);
        }
        findings.told
    }

    #[test]
    fn a_key_counts_once_a_day() {
        let said = findings_of(0, KEYS_KEPT_MICROS - 1);
        assert!(said.len() == 1 && said[0].contains("a keyed write counts twice, first at offset 0"), "{said:?}");
        assert_eq!(findings_of(0, KEYS_KEPT_MICROS), [""; 0]);
    }
}
