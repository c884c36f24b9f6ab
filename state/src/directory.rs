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

    /// Folds the counted event at `offset` of the topic in. A domain belongs to whom it was first given.
    pub fn apply(&mut self, event: &Event, offset: u64) {
        if let Event::ClusterFounded(founded) = event {
            self.cluster.get_or_insert_with(|| founded.clone());
        } else if let Some(entry) = DirectoryEntry::of(event, offset)
            && !self.by_domain.contains_key(&entry.domain)
        {
            self.insert(entry);
        }
    }

    /// Adds a line.
    pub fn insert(&mut self, entry: DirectoryEntry) {
        self.by_domain.insert(entry.domain.clone(), entry.team);
        self.by_team.insert(entry.team, entry);
    }

    /// The team of a domain.
    pub fn by_domain(&self, domain: &str) -> Option<&DirectoryEntry> {
        self.by_team.get(self.by_domain.get(domain)?)
    }

    /// A team's line.
    pub fn by_team(&self, team: TeamId) -> Option<&DirectoryEntry> {
        self.by_team.get(&team)
    }

    /// Every line, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &DirectoryEntry> {
        self.by_team.values()
    }

    /// The cluster's founding, once it has been read.
    pub fn cluster(&self) -> Option<&ClusterFounded> {
        self.cluster.as_ref()
    }
}

impl DirectoryEntry {
    /// The line that a `TeamRegistered` makes; none of another event.
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
