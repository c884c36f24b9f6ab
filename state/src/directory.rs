//! The directory in memory: which team owns a domain, and where it lives.

use std::collections::HashMap;

use teamlog_schemas::{ClusterFounded, Event, TeamId};

/// A team's entry in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The domain.
    pub domain: String,
    /// The team.
    pub team: TeamId,
    /// Its name as people write it.
    pub name: String,
    /// The partition of `events` that holds it for life.
    pub partition: u32,
    /// The shard that holds its rows.
    pub shard: String,
    /// Where its `TeamRegistered` lies in the topic `directory`.
    pub offset: u64,
}

/// All rows of the directory, as of one position.
#[derive(Clone, Debug, Default)]
pub struct DirectoryRows {
    /// The teams, in no order.
    pub entries: Vec<DirectoryEntry>,
    /// The cluster's founding.
    pub cluster: Option<ClusterFounded>,
}

/// The directory.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    by_team: HashMap<TeamId, DirectoryEntry>,
    by_domain: HashMap<String, TeamId>,
    cluster: Option<ClusterFounded>,
}

impl Directory {
    /// The directory that these rows make.
    pub fn from_rows(rows: DirectoryRows) -> Directory {
        let mut directory = Directory { cluster: rows.cluster, ..Directory::default() };
        for entry in rows.entries {
            directory.insert(entry);
        }
        directory
    }

    /// Applies the counted event at `offset` of the topic. A domain belongs to the team that registered it first.
    pub fn apply(&mut self, event: &Event, offset: u64) {
        if let Event::ClusterFounded(founded) = event {
            self.cluster.get_or_insert_with(|| founded.clone());
        } else if let Some(entry) = DirectoryEntry::of(event, offset)
            && !self.by_domain.contains_key(&entry.domain)
        {
            self.insert(entry);
        }
    }

    /// Adds an entry.
    pub fn insert(&mut self, entry: DirectoryEntry) {
        self.by_domain.insert(entry.domain.clone(), entry.team);
        self.by_team.insert(entry.team, entry);
    }

    /// The team of a domain.
    pub fn by_domain(&self, domain: &str) -> Option<&DirectoryEntry> {
        self.by_team.get(self.by_domain.get(domain)?)
    }

    /// Returns a team's entry.
    pub fn by_team(&self, team: TeamId) -> Option<&DirectoryEntry> {
        self.by_team.get(&team)
    }

    /// Returns every entry, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &DirectoryEntry> {
        self.by_team.values()
    }

    /// The cluster's founding, once it has been read.
    pub fn cluster(&self) -> Option<&ClusterFounded> {
        self.cluster.as_ref()
    }
}

impl DirectoryEntry {
    /// Returns the entry that a `TeamRegistered` makes; none for another event.
    pub fn of(event: &Event, offset: u64) -> Option<DirectoryEntry> {
        let Event::TeamRegistered(e) = event else { return None };
        Some(DirectoryEntry {
            domain: e.domain.clone(),
            team: e.meta.team,
            name: e.name.clone(),
            partition: u32::try_from(e.partition).ok()?,
            shard: e.shard.clone(),
            offset,
        })
    }
}
