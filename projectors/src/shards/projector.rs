//! A shard's projector: one batch, one transaction.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use teamlog_log::{Body, Partition, Position, Topic, TopicPartition};
use teamlog_schemas::Ts;

use super::{
    fold::{Fold, Rows},
    rows::Row,
    tables,
};
use crate::{
    db::{Cells, DbError, Dialect, Replica, Tx, advance, positions_of},
    projector::{Batch, ProjectError, Projector},
};

/// How long keyed writes are kept, by the events' time: two days. At least one is promised.
const KEYS_KEPT_MICROS: i64 = 2 * 24 * 3_600 * 1_000_000;
/// Every so many batches the old ones go.
const PRUNE_EVERY: u64 = 256;
/// Keyed writes that go at once at most, where the database can say so.
const PRUNE_MAX: u64 = 20_000;

/// Projects the partitions of one shard to one replica.
pub struct ShardProjector {
    name: String,
    shard: String,
    replica: Replica,
    sources: Vec<TopicPartition>,
    batches: AtomicU64,
}

impl ShardProjector {
    /// The projector of shard `shard`, which has these partitions.
    pub fn new(shard: &str, partitions: impl IntoIterator<Item = Partition>, replica: Replica) -> ShardProjector {
        let sources = partitions.into_iter().flat_map(|partition| {
            [Topic::Events, Topic::Marks, Topic::Credentials].map(|topic| TopicPartition { topic, partition })
        });
        ShardProjector {
            name: format!("shard {shard}"),
            shard: shard.to_owned(),
            replica,
            sources: sources.collect(),
            batches: AtomicU64::new(0),
        }
    }

    fn fold(&self, batch: &Batch) -> Fold {
        let mut fold = Fold::new(&self.shard);
        // Most events are messages. To grow step by step to thousands of rows would copy all of them each time.
        fold.messages.found.reserve(batch.entries.len());
        for entry in &batch.entries {
            if let Body::Event(event) = &entry.body {
                fold.want(event);
            }
        }
        fold
    }
}

#[async_trait]
impl Projector for ShardProjector {
    fn name(&self) -> &str {
        &self.name
    }

    fn replica(&self) -> &str {
        self.replica.name()
    }

    fn sources(&self) -> Vec<TopicPartition> {
        self.sources.clone()
    }

    async fn positions(&self) -> Result<HashMap<TopicPartition, Position>, ProjectError> {
        Ok(positions_of(&self.replica).await?)
    }

    async fn generation(&self) -> Result<u32, ProjectError> {
        Ok(self.replica.current_generation().await?)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        let mut fold = self.fold(batch);
        let mut tx = self.replica.write().await?;
        let mut moved: Vec<_> = batch.moved.iter().collect();
        moved.sort_by_key(|(source, _)| **source);
        for (source, (from, to)) in moved {
            advance(&mut tx, *source, *from, *to).await?;
        }
        read(&mut tx, &mut fold).await?;
        for entry in &batch.entries {
            match &entry.body {
                Body::Event(event) => fold.apply(event),
                Body::Tombstone(Some(key)) => fold.tombstone(entry.source.topic == Topic::Marks, key),
                _ => {}
            }
        }
        let newest = fold.newest;
        write(&mut tx, fold).await?;
        if self.batches.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            prune(&mut tx, newest).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn read(tx: &mut Tx, fold: &mut Fold) -> Result<(), DbError> {
    read_rows(tx, &mut fold.teams).await?;
    read_rows(tx, &mut fold.people).await?;
    read_rows(tx, &mut fold.conversations).await?;
    read_rows(tx, &mut fold.messages).await?;
    read_rows(tx, &mut fold.threads).await?;
    read_rows(tx, &mut fold.tokens).await
}

async fn read_rows<R: Row>(tx: &mut Tx, rows: &mut Rows<R>) -> Result<(), DbError> {
    let keys = rows.wanted.iter().map(|key| R::key_cells(*key)).collect();
    for row in tx.select(&R::TABLE, keys).await? {
        let (key, row) = R::parse(&row)?;
        rows.found.insert(key, row);
    }
    Ok(())
}

async fn write_rows<R: Row>(tx: &mut Tx, rows: Rows<R>) -> Result<(), DbError> {
    tx.delete(&R::TABLE, rows.gone.iter().map(|key| R::key_cells(*key)).collect()).await?;
    tx.upsert(&R::TABLE, rows.written()).await
}

async fn write(tx: &mut Tx, fold: Fold) -> Result<(), DbError> {
    write_rows(tx, fold.teams).await?;
    write_rows(tx, fold.people).await?;
    write_rows(tx, fold.conversations).await?;
    write_rows(tx, fold.messages).await?;
    write_rows(tx, fold.threads).await?;
    write_rows(tx, fold.tokens).await?;
    for (table, present) in [(&tables::MEMBERS, fold.members), (&tables::CLOSED, fold.closed)] {
        let cells = |wanted: bool| -> Vec<Cells> {
            let these = present.iter().filter(|(_, is_there)| **is_there == wanted);
            these
                .map(|((team, conversation, user), _)| vec![(*team).into(), (*conversation).into(), (*user).into()])
                .collect()
        };
        tx.delete(table, cells(false)).await?;
        tx.insert_new(table, cells(true)).await?;
    }
    tx.upsert(&tables::BOTS, fold.bots.into_values()).await?;
    tx.insert_new(&tables::DELETIONS, fold.deletions).await?;
    tx.insert_new(&tables::MENTIONS, fold.mentions).await?;
    let passwords = fold.passwords.into_iter();
    let passwords = passwords.map(|((team, user), id)| vec![team.into(), user.into(), id.as_bytes()[..].into()]);
    tx.upsert(&tables::PASSWORDS, passwords).await?;
    // The first event of a key is its answer for ever.
    tx.insert_new(&tables::WRITE_KEYS, fold.write_keys).await?;
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    for ((team, user, conversation), ts) in fold.marks {
        let key: Cells = vec![team.into(), user.into(), conversation.into()];
        match ts {
            Some(ts) => set.push([key, vec![ts.into()]].concat()),
            None => gone.push(key),
        }
    }
    tx.upsert(&tables::MARKS, set).await?;
    tx.delete(&tables::MARKS, gone).await?;
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    for ((team, credential), stored) in fold.credentials {
        let key: Cells = vec![team.into(), credential.as_bytes().as_slice().into()];
        match stored {
            Some((user, sealed)) => set.push([key, vec![user.into(), sealed.as_str().into()]].concat()),
            None => gone.push(key),
        }
    }
    tx.upsert(&tables::CREDENTIALS, set).await?;
    tx.delete(&tables::CREDENTIALS, gone).await
}

async fn prune(tx: &mut Tx, newest: Ts) -> Result<(), DbError> {
    let limit = match tx.dialect() {
        Dialect::MySql => format!(" LIMIT {PRUNE_MAX}"),
        Dialect::Sqlite => String::new(),
    };
    let oldest = Ts::from_micros(newest.micros() - KEYS_KEPT_MICROS);
    tx.execute(format!("DELETE FROM write_keys WHERE at < ?{limit}"), vec![oldest.into()]).await.map(drop)
}
