//! The positions of a view, committed with its rows.

use std::collections::HashMap;

use teamlog_log::{Offset, Partition, Position, Topic, TopicPartition};
use uuid::Uuid;

use super::{Cell, Cells, DbError, POSITIONS, Replica, Tx};

fn key(of: TopicPartition) -> Cells {
    vec![of.topic.name().into(), of.partition.0.into()]
}

fn values(position: &Position) -> Cells {
    vec![
        position.log_id.as_bytes().as_slice().into(),
        position.offset.0.into(),
        position.epoch.into(),
        position.claim_id.as_bytes().as_slice().into(),
        position.claim_offset.0.into(),
        position.next_seq.into(),
    ]
}

fn parse(row: &[Cell]) -> Result<(TopicPartition, Position), DbError> {
    let name = row[0].as_text()?;
    let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name);
    let topic = topic.ok_or_else(|| DbError::broken(format!("a position in a topic {name}")))?;
    let number = |cell: &Cell| cell.as_int().map(i64::cast_unsigned);
    let partition = Partition(u32::try_from(row[1].as_int()?).map_err(DbError::broken)?);
    let id = |cell: &Cell| Uuid::from_slice(cell.as_bytes()?).map_err(DbError::broken);
    let position = Position {
        log_id: id(&row[2])?,
        offset: Offset(number(&row[3])?),
        epoch: number(&row[4])?,
        claim_id: id(&row[5])?,
        claim_offset: Offset(number(&row[6])?),
        next_seq: row[7].present().map(number).transpose()?,
    };
    Ok((TopicPartition { topic, partition }, position))
}

/// How far one source has been projected.
pub(crate) async fn read_position(tx: &mut Tx, of: TopicPartition) -> Result<Position, DbError> {
    let rows = tx.select(&POSITIONS, vec![key(of)]).await?;
    rows.first().map_or(Ok(Position::START), |row| Ok(parse(row)?.1))
}

/// Reads the position in each source. A source without an entry has not been started.
pub(crate) async fn read_positions(tx: &mut Tx) -> Result<HashMap<TopicPartition, Position>, DbError> {
    let rows = tx.rows(format!("SELECT {} FROM positions", POSITIONS.names()), Vec::new()).await?;
    rows.iter().map(|row| parse(row)).collect()
}

/// Reads a replica's positions. A replica that fails is opened again next time, so that a database that was lost or
/// restored gets its tables again, and is continued from its own positions.
pub(crate) async fn positions_of(replica: &Replica) -> Result<HashMap<TopicPartition, Position>, DbError> {
    let positions = async { read_positions(&mut replica.read().await?).await }.await;
    if positions.as_ref().is_err_and(|why| !matches!(why, DbError::OtherSchema(_))) {
        replica.forget();
    }
    positions
}

/// Moves the position of one source from `from` to `to`; [`DbError::Overtaken`] if it is not at `from`. Call it before
/// reading rows: it takes the lock that makes a second projector of this view wait, and then fail.
pub(crate) async fn advance(tx: &mut Tx, of: TopicPartition, from: Position, to: Position) -> Result<(), DbError> {
    // The offset and the claim name the position: a log has no two claims of one id.
    let stands_at = vec![from.offset.0.into(), from.claim_id.as_bytes().as_slice().into()];
    let args = [values(&to), key(of), stands_at].concat();
    let update = "UPDATE positions \
                  SET log_id = ?, next_offset = ?, epoch = ?, claim_id = ?, claim_offset = ?, next_seq = ? \
                  WHERE topic = ? AND part = ? AND next_offset = ? AND claim_id = ?";
    if tx.execute(update, args).await? == 1 {
        return Ok(());
    }
    if from != Position::START || !tx.select(&POSITIONS, vec![key(of)]).await?.is_empty() {
        return Err(DbError::Overtaken(of));
    }
    let insert = format!("INSERT INTO positions ({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", POSITIONS.names());
    tx.execute(insert, [key(of), values(&to)].concat()).await.map(drop)
}
