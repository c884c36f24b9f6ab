//! The value of one column in one row, in a form that serves both MySQL and SQLite.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Decode, Row, TypeInfo, ValueRef, mysql::MySqlRow, sqlite::SqliteRow};

use super::DbError;

/// A value to be bound, or that was read. MySQL returns text as bytes, so the `as_` methods accept either for text.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row.
pub(crate) type Cells = Vec<Cell>;

impl Cell {
    /// Encodes a value that is stored as JSON.
    pub(crate) fn json<T: Serialize>(value: &T) -> Cell {
        // Encoding fails only for map keys that are not strings and for failing `Serialize` impls: there are none here.
        Cell::Text(serde_json::to_string(value).expect("rows are plain JSON"))
    }

    pub(crate) fn as_int(&self) -> Result<i64, DbError> {
        match self {
            Cell::Int(number) => Ok(*number),
            other => Err(DbError::broken(format!("{other} where a number belongs"))),
        }
    }

    pub(crate) fn as_bytes(&self) -> Result<&[u8], DbError> {
        match self {
            Cell::Bytes(bytes) => Ok(bytes),
            Cell::Text(text) => Ok(text.as_bytes()),
            other => Err(DbError::broken(format!("{other} where bytes belong"))),
        }
    }

    pub(crate) fn as_text(&self) -> Result<&str, DbError> {
        std::str::from_utf8(self.as_bytes()?).map_err(DbError::broken)
    }

    pub(crate) fn as_json<T: DeserializeOwned>(&self) -> Result<T, DbError> {
        serde_json::from_slice(self.as_bytes()?).map_err(DbError::broken)
    }

    /// Returns the value, or none for NULL.
    pub(crate) fn present(&self) -> Option<&Cell> {
        (!matches!(self, Cell::Null)).then_some(self)
    }

    /// Compares two keys as both databases do: as numbers, or byte by byte.
    pub(crate) fn order(&self, other: &Cell) -> std::cmp::Ordering {
        match (self, other) {
            (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
            (Cell::Null, Cell::Null) => std::cmp::Ordering::Equal,
            (Cell::Null, _) => std::cmp::Ordering::Less,
            (_, Cell::Null) => std::cmp::Ordering::Greater,
            (a, b) => a.as_bytes().unwrap_or_default().cmp(b.as_bytes().unwrap_or_default()),
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::Int(number) => number.fmt(f),
            Cell::Text(text) => write!(f, "'{text}'"),
            Cell::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => write!(f, "'{text}'"),
                _ => bytes.iter().try_fold((), |(), byte| write!(f, "{byte:02x}")),
            },
        }
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Int(number)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Cell {
        Cell::Int(i64::from(flag))
    }
}

/// Counts, offsets and packed ids fit into 63 bits.
impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Int(number.cast_signed())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Cell {
        Cell::Int(number.into())
    }
}

impl From<teamlog_schemas::Ts> for Cell {
    fn from(ts: teamlog_schemas::Ts) -> Cell {
        Cell::Int(ts.micros())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<&[u8]> for Cell {
    fn from(bytes: &[u8]) -> Cell {
        Cell::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

macro_rules! ids {
    ($($id:ident)*) => { $(
        impl From<teamlog_schemas::$id> for Cell {
            fn from(id: teamlog_schemas::$id) -> Cell {
                Cell::Int(id.packed().cast_signed())
            }
        }
    )* };
}
ids!(TeamId UserId BotId ConversationId ScheduleId);

/// Decodes an id from its packed number.
pub(crate) fn id_of<T>(
    cell: &Cell,
    from_packed: fn(u64) -> Result<T, teamlog_schemas::InvalidId>,
) -> Result<T, DbError> {
    from_packed(cell.as_int()?.cast_unsigned()).map_err(DbError::broken)
}

pub(super) fn of_mysql(row: &MySqlRow) -> Result<Cells, sqlx::Error> {
    (0..row.len())
        .map(|at| {
            let value = row.try_get_raw(at)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let is_number = {
                let info = value.type_info();
                info.name().contains("INT") || info.name() == "BOOLEAN"
            };
            let cell = if is_number {
                <i64 as Decode<sqlx::MySql>>::decode(value).map(Cell::Int)
            } else {
                <Vec<u8> as Decode<sqlx::MySql>>::decode(value).map(Cell::Bytes)
            };
            cell.map_err(sqlx::Error::Decode)
        })
        .collect()
}

pub(super) fn of_sqlite(row: &SqliteRow) -> Result<Cells, sqlx::Error> {
    (0..row.len())
        .map(|at| {
            let value = row.try_get_raw(at)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let kind = value.type_info().name().to_owned();
            let cell = match kind.as_str() {
                "INTEGER" => <i64 as Decode<sqlx::Sqlite>>::decode(value).map(Cell::Int),
                "TEXT" => <String as Decode<sqlx::Sqlite>>::decode(value).map(Cell::Text),
                _ => <Vec<u8> as Decode<sqlx::Sqlite>>::decode(value).map(Cell::Bytes),
            };
            cell.map_err(sqlx::Error::Decode)
        })
        .collect()
}
