//! `write_keys`: the events of keyed writes, by the digest of actor, method and key, for as long as a retry may come.

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest as _, Sha256};
use teamlog_schemas::{Event, TeamId, Ts, UserId};
use teamlog_state::WriteKey;

use super::{Folded, Source, Tables};
use crate::{
    db::{Cells, DbError, Dialect, Table, Tx, blob, bytes, int},
    shards::changes::Row,
};

/// The time for which keyed writes are kept, by the events' time: two days. At least one day is promised.
const KEPT_MICROS: i64 = 2 * 24 * 3_600 * 1_000_000;
/// The maximum number of keyed writes that are deleted at once, where the database supports such a limit.
const PRUNE_MAX: u64 = 20_000;

/// The digest of a keyed write's actor, method and key, by which it is looked up. Keys may be too long for an index.
pub(in crate::shards) type Digest = [u8; 32];

pub(in crate::shards) struct WriteRow {
    at: Ts,
    event: Vec<u8>,
}

impl Row for WriteRow {
    const TABLE: Table = Table {
        name: "write_keys",
        columns: &[int("team"), bytes("digest", 32), int("at"), blob("event")],
        key: 2,
        indexes: &[("by_age", "at")],
        pruned: true,
    };
    type Key = (TeamId, Digest);

    fn key_cells((team, digest): Self::Key) -> Cells {
        vec![team.into(), digest.as_slice().into()]
    }

    fn values(&self) -> Cells {
        vec![self.at.into(), self.event.as_slice().into()]
    }
}

impl Folded for WriteRow {
    const SOURCE: Source = Source::Events;

    /// The first event of a key is its answer for ever.
    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let (Some(key), Some(meta)) = (WriteKey::of(event), event.meta())
            && let Ok(bytes) = event.encode()
        {
            on.write_keys.add((team, digest(&key)), WriteRow { at: meta.at, event: bytes.to_vec() });
        }
    }
}

/// Digests a key.
pub(in crate::shards) fn digest(key: &WriteKey) -> Digest {
    let mut hash = Sha256::new();
    hash.update(key.actor.map_or(0, UserId::packed).to_be_bytes());
    hash.update((key.method.len() as u64).to_be_bytes());
    hash.update(&key.method);
    hash.update(&key.key);
    hash.finalize().into()
}

/// Reads the events of keyed writes, by digest.
pub(in crate::shards) async fn writes_of(
    tx: &mut Tx,
    team: TeamId,
    digests: impl Iterator<Item = Digest>,
) -> Result<HashMap<Vec<u8>, Arc<Event>>, DbError> {
    let keys = digests.map(|digest| WriteRow::key_cells((team, digest))).collect();
    let mut writes = HashMap::new();
    for row in tx.select(&WriteRow::TABLE, keys).await? {
        let event = Event::decode(row[3].as_bytes()?).map_err(DbError::broken)?;
        writes.insert(row[1].as_bytes()?.to_vec(), Arc::new(event));
    }
    Ok(writes)
}

/// Deletes old ones, as of the newest event's time.
pub(in crate::shards) async fn prune(tx: &mut Tx, newest: Ts) -> Result<(), DbError> {
    let limit = match tx.dialect() {
        Dialect::MySql => format!(" LIMIT {PRUNE_MAX}"),
        Dialect::Sqlite => String::new(),
    };
    let oldest = Ts::from_micros(newest.micros() - KEPT_MICROS);
    tx.execute(format!("DELETE FROM write_keys WHERE at < ?{limit}"), vec![oldest.into()]).await.map(drop)
}
