//! Ids, times and numbers out of the cells of a row.

use teamlog_schemas::{BotId, ConversationId, ScheduleId, TeamId, Ts, UserId};

use crate::db::{Cell, DbError, id_of};

pub(super) fn team_of(cell: &Cell) -> Result<TeamId, DbError> {
    id_of(cell, TeamId::from_packed)
}

pub(super) fn user_of(cell: &Cell) -> Result<UserId, DbError> {
    id_of(cell, UserId::from_packed)
}

pub(super) fn conversation_of(cell: &Cell) -> Result<ConversationId, DbError> {
    id_of(cell, ConversationId::from_packed)
}

pub(super) fn bot_of(cell: &Cell) -> Result<BotId, DbError> {
    id_of(cell, BotId::from_packed)
}

pub(super) fn schedule_of(cell: &Cell) -> Result<ScheduleId, DbError> {
    id_of(cell, ScheduleId::from_packed)
}

pub(super) fn ts_of(cell: &Cell) -> Result<Ts, DbError> {
    cell.as_int().map(Ts::from_micros)
}

pub(super) fn number<T: TryFrom<i64, Error: std::fmt::Display>>(cell: &Cell) -> Result<T, DbError> {
    T::try_from(cell.as_int()?).map_err(DbError::broken)
}
