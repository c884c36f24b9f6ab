//! `Mains`: the reader of the directory's rows, with failover over its replicas.

use std::sync::Arc;

use async_trait::async_trait;
use teamlog_log::{Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::{At, DirectoryEntry, DirectoryRows, SourceError};

use super::{MainsProjector, tables};
use crate::{
    db::{DbError, Query, Replica, Replicas, Tx, id_of},
    names,
    projector::Projector,
};

/// The directory's replicas. Cheap to clone.
#[derive(Clone)]
pub struct Mains {
    replicas: Replicas,
}

impl Mains {
    /// The replicas at `mysql://user@host:port/database` or `sqlite://path`, nearest first. Nothing is opened before
    /// it is used.
    ///
    /// # Errors
    /// [`DbError::Url`] for a url that is none.
    pub fn new(replicas: &[String]) -> Result<Mains, DbError> {
        let replicas =
            replicas.iter().map(|url| Replica::open(names::MAINS, url, &tables::MAINS)).collect::<Result<_, _>>()?;
        Ok(Mains { replicas: Replicas::new(names::MAINS, &tables::MAINS, replicas) })
    }

    /// The replicas.
    pub fn replicas(&self) -> Vec<Replica> {
        self.replicas.iter().cloned().collect()
    }

    /// Returns a projector for each replica.
    pub fn projectors(&self) -> Vec<Arc<dyn Projector>> {
        self.replicas
            .iter()
            .map(|replica| Arc::new(MainsProjector::new(replica.clone())) as Arc<dyn Projector>)
            .collect()
    }

    /// All rows of the directory, and the position that they reflect.
    ///
    /// # Errors
    /// If no replica answers, or one holds what cannot be.
    pub async fn load(&self) -> Result<At<Position, DirectoryRows>, SourceError> {
        self.replicas.ask(TopicPartition::DIRECTORY, &Everything).await
    }
}

struct Everything;

#[async_trait]
impl Query for Everything {
    type Answer = DirectoryRows;

    async fn run(&self, tx: &mut Tx) -> Result<DirectoryRows, DbError> {
        let mut all = DirectoryRows::default();
        for row in tx.rows(format!("SELECT {} FROM teams", tables::TEAMS.names()), Vec::new()).await? {
            all.entries.push(DirectoryEntry {
                domain: row[0].as_text()?.to_owned(),
                team: id_of(&row[1], TeamId::from_packed)?,
                name: row[2].as_text()?.to_owned(),
                partition: u32::try_from(row[3].as_int()?).map_err(DbError::broken)?,
                shard: row[4].as_text()?.to_owned(),
                offset: row[5].as_int()?.cast_unsigned(),
            });
        }
        for row in tx.rows("SELECT event FROM cluster", Vec::new()).await? {
            if let Event::ClusterFounded(founded) = Event::decode(row[0].as_bytes()?).map_err(DbError::broken)? {
                all.cluster = Some(founded);
            }
        }
        Ok(all)
    }
}
