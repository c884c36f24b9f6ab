//! The configuration of shards, and the shards that it makes.

use serde::{Deserialize, Serialize};

use super::{reader::Shards, tables::SHARD};
use crate::db::{DbError, Replica, Replicas};

/// The configuration of one shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardConfig {
    /// The shard's name in the directory.
    pub name: String,
    /// `mysql://user@host:port/database` or `sqlite://path`, nearest first.
    pub replicas: Vec<String>,
}

impl Shards {
    /// Makes the shards of a log with this number of partitions. Replicas are opened at their first use.
    ///
    /// # Errors
    /// [`DbError::Url`] for a replica's url that is none, or a shard without a replica.
    pub fn new(partitions: u32, shards: &[ShardConfig]) -> Result<Shards, DbError> {
        let open = |shard: &ShardConfig| {
            if shard.replicas.is_empty() {
                return Err(DbError::Url(format!("shard {} has no replica", shard.name)));
            }
            let view = crate::names::shard(&shard.name);
            let open = |url: &String| Replica::open(&view, url, &SHARD);
            let replicas = shard.replicas.iter().map(open).collect::<Result<_, _>>()?;
            Ok((shard.name.clone(), Replicas::new(&shard.name, &SHARD, replicas)))
        };
        let shards = shards.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Shards::of(partitions, shards))
    }
}
