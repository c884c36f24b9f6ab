//! Passwords' hashes: sealed in the topic `credentials`, found through the shard that says which one counts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use teamlog_ingest::Ingest;
use teamlog_live::bridge;
use teamlog_log::{Appended, Feed, NewRecord, Partition, Stamp, Topic, TopicPartition};
use teamlog_projectors::Shards;
use teamlog_schemas::{CredentialStored, Event, Meta, TeamId, Ts, UserId, partition_of};
use teamlog_state::{DirectoryEntry, SourceError};
use uuid::Uuid;

use crate::Credentials;

/// The vault of a cluster, over its log and its shards.
pub struct Vault {
    ingest: Ingest,
    shards: Shards,
    feed: Feed<Event>,
}

impl Vault {
    /// A vault that seals with the keys of `ingest`. `feed` must follow the topic `credentials`.
    pub fn new(ingest: Ingest, shards: Shards, feed: Feed<Event>) -> Arc<Vault> {
        Arc::new(Vault { ingest, shards, feed })
    }

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
impl Credentials for Vault {
    async fn store(&self, team: TeamId, user: UserId, hash: String) -> Result<Uuid, SourceError> {
        // A team that is to be made is not in the directory: this is where it will lie.
        let known = self.ingest.directory().by_team(team).map(|entry| entry.partition);
        let partition = Partition(known.unwrap_or_else(|| partition_of(team, self.shards.partitions())));
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
        let events = TopicPartition::events(Partition(entry.partition));
        let read = bridge::to_end(&self.feed, events, at, |counts, event| {
            if event.team() == Some(team)
                && let Some((of, credential_id)) = event.password()
                && of == user
            {
                *counts = Some(credential_id);
            }
        });
        let Some(credential_id) = read.await.map_err(|why| away(shard, why))?.rows else { return Ok(None) };
        let at = self.shards.sealed(shard, team, credential_id).await?;
        let read = bridge::to_end(&self.feed, stored, at, |sealed, event| {
            if let Event::CredentialStored(e) = &**event
                && e.credential_id == credential_id
            {
                sealed.get_or_insert_with(|| e.sealed.clone());
            }
        });
        let sealed = read.await.map_err(|why| away(shard, why))?.rows;
        Ok(sealed.and_then(|sealed| self.ingest.secrets().open(&name(team, user), &sealed)))
    }
}

fn name(team: TeamId, user: UserId) -> String {
    format!("{team}/{user}")
}
