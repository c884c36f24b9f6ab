//! Passwords' hashes: sealed in the topic `credentials`, found through the shard that says which one counts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use teamlog_gateway::Credentials;
use teamlog_ingest::Ingest;
use teamlog_log::{Appended, Feed, NewRecord, Partition, Position, Stamp, Topic, TopicPartition};
use teamlog_projectors::Shards;
use teamlog_schemas::{CredentialStored, Event, Meta, TeamId, Ts, UserId, partition_of};
use teamlog_state::{DirectoryEntry, SourceError};
use uuid::Uuid;

/// Over the log and the shards.
pub(crate) struct SealedCredentials {
    pub(crate) ingest: Ingest,
    pub(crate) shards: Shards,
    pub(crate) feed: Feed<Event>,
    pub(crate) partitions: u32,
}

impl SealedCredentials {
    fn place(&self, team: TeamId) -> Result<(DirectoryEntry, TopicPartition), SourceError> {
        let entry = self.ingest.directory().by_team(team).ok_or_else(|| away("credentials", "no such team"))?;
        let partition = Partition(entry.partition);
        Ok((entry, TopicPartition { topic: Topic::Credentials, partition }))
    }
}

fn away(shard: &str, why: impl ToString) -> SourceError {
    SourceError::Away { shard: shard.to_owned(), why: why.to_string() }
}

#[async_trait]
impl Credentials for SealedCredentials {
    async fn store(&self, team: TeamId, user: UserId, hash: String) -> Result<Uuid, SourceError> {
        // A team that is to be made is not in the directory: this is where it will lie.
        let known = self.ingest.directory().by_team(team).map(|entry| entry.partition);
        let partition = Partition(known.unwrap_or_else(|| partition_of(team, self.partitions)));
        let to = TopicPartition { topic: Topic::Credentials, partition };
        let credential_id = Uuid::new_v4();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let at = Ts::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        let meta = Meta { event_id: Uuid::now_v7(), team, actor: Some(user), at, key: None, method: None };
        let sealed = self.ingest.secrets().seal(&name(team, user), &hash, rand::random());
        let event = Event::from(CredentialStored { meta, credential_id, user, sealed });
        let record = NewRecord {
            key: event.record_key().map(Bytes::from),
            value: Some(event.encode().map_err(|why| away("credentials", why))?),
            stamp: Stamp::Absent,
            writer: None,
            traceparent: None,
        };
        match self.feed.log().append(to, vec![record]).await.pop() {
            Some(Appended::At(_)) => Ok(credential_id),
            other => Err(away("credentials", format!("{other:?}"))),
        }
    }

    async fn password(&self, team: TeamId, user: UserId) -> Result<Option<String>, SourceError> {
        let (entry, stored) = self.place(team)?;
        let shard = &entry.shard;
        let at = self.shards.password(shard, team, user).await?;
        let mut counts = at.rows;
        let events = TopicPartition::events(Partition(entry.partition));
        for event in self.tail(shard, events, at.position).await? {
            if event.team() == Some(team)
                && let Some((of, credential_id)) = event.password()
                && of == user
            {
                counts = Some(credential_id);
            }
        }
        let Some(credential_id) = counts else { return Ok(None) };
        let at = self.shards.sealed(shard, team, credential_id).await?;
        let sealed = match at.rows {
            Some(sealed) => Some(sealed),
            None => self.tail(shard, stored, at.position).await?.into_iter().find_map(|event| {
                let Event::CredentialStored(e) = &*event else { return None };
                (e.credential_id == credential_id).then(|| e.sealed.clone())
            }),
        };
        Ok(sealed.and_then(|sealed| self.ingest.secrets().open(&name(team, user), &sealed)))
    }
}

impl SealedCredentials {
    /// What the shard has not seen of a source.
    async fn tail(&self, shard: &str, source: TopicPartition, from: Position) -> Result<Vec<Arc<Event>>, SourceError> {
        let entries = self.feed.scan(source, from).await.map_err(|why| away(shard, why))?;
        Ok(entries.iter().filter_map(|entry| entry.event().cloned()).collect())
    }
}

fn name(team: TeamId, user: UserId) -> String {
    format!("{team}/{user}")
}

/// The trait object that a gateway takes.
pub(crate) fn credentials(ingest: Ingest, shards: Shards, feed: Feed<Event>, partitions: u32) -> Arc<dyn Credentials> {
    Arc::new(SealedCredentials { ingest, shards, feed, partitions })
}
