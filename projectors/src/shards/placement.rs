//! Whether the teams are where the configuration looks for them.

use teamlog_log::Partition;
use teamlog_state::DirectoryEntry;

use super::Shards;

/// A team whose shard the configuration does not name, or gives another partition. Its rows would not be found, or not
/// be projected any more.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misplaced {
    /// No such shard.
    #[error(
        "team {domain} lies on shard {shard}, which is not among [[shards]] ({configured}): a shard that has teams cannot be renamed or left out"
    )]
    NoShard {
        /// The team's domain.
        domain: String,
        /// Its shard by the directory.
        shard: String,
        /// The shards that there are.
        configured: String,
    },
    /// Another shard has its partition.
    #[error(
        "team {domain} lies on shard {shard}, but with these [[shards]] its partition {partition} falls to {configured}: shards can be neither added nor left out once there are teams"
    )]
    OtherShard {
        /// The team's domain.
        domain: String,
        /// Its shard by the directory.
        shard: String,
        /// Its partition.
        partition: u32,
        /// The shard of that partition by the configuration.
        configured: String,
    },
}

impl Shards {
    /// Compares where these shards have the partitions with what the directory says of each team.
    ///
    /// # Errors
    /// The first team that would be lost.
    pub fn check<'a>(&self, mut teams: impl Iterator<Item = &'a DirectoryEntry>) -> Result<(), Misplaced> {
        let wrong = teams.find_map(|team| {
            let (domain, shard) = (team.domain.clone(), team.shard.clone());
            if !self.names().any(|name| name == shard) {
                let configured = self.names().collect::<Vec<_>>().join(", ");
                return Some(Misplaced::NoShard { domain, shard, configured });
            }
            let configured = self.shard_of(Partition(team.partition))?.to_owned();
            let other = configured != shard;
            other.then_some(Misplaced::OtherShard { domain, shard, partition: team.partition, configured })
        });
        wrong.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShardConfig;

    fn shards(names: &[&str]) -> Shards {
        let shard = |name: &&str| {
            let replicas = vec![format!("sqlite:///nowhere/{name}.sqlite")];
            ShardConfig { name: (*name).to_owned(), replicas }
        };
        Shards::new(4, &names.iter().map(shard).collect::<Vec<_>>()).unwrap()
    }

    fn team(domain: &str, partition: u32, shard: &str) -> DirectoryEntry {
        let (domain, shard) = (domain.to_owned(), shard.to_owned());
        let team = "T0TEAM".parse().unwrap();
        DirectoryEntry { name: domain.clone(), domain, team, partition, shard, offset: 0 }
    }

    #[tokio::test]
    async fn a_team_that_would_be_lost_is_named() {
        let teams = [team("acme", 0, "s1"), team("init", 3, "s2"), team("hooli", 2, "s1")];
        let check = |names: &[&str]| shards(names).check(teams.iter()).map_err(|why| why.to_string());
        assert_eq!(check(&["s1", "s2"]), Ok(()));
        assert_eq!(check(&["s2", "s1"]), Ok(()), "their order in the file does not count");
        assert!(check(&["s1"]).unwrap_err().contains("team init lies on shard s2, which is not among [[shards]] (s1)"));
        assert!(check(&["s1", "s3"]).unwrap_err().contains("team init lies on shard s2, which is not"));
        let added = check(&["s1", "s2", "s3"]).unwrap_err();
        assert!(
            added.contains("team init lies on shard s2, but with these [[shards]] its partition 3 falls to s1"),
            "{added}"
        );
        assert_eq!(shards(&["new"]).check([].into_iter()), Ok(()), "without teams everything fits");
    }
}
