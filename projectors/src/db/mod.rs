//! The code shared by all views in a database: replicas (MySQL or SQLite), transactions, tables as data, positions.
//!
//! Both kinds of database run the same SQL, with `?` for arguments. [`Dialect`] marks the few places where they differ.

mod cell;
mod error;
mod failover;
mod place;
mod positions;
mod replica;
mod schema;
mod table;
mod tx;

pub(crate) use cell::{Cell, Cells, id_of};
pub use error::DbError;
pub(crate) use failover::{Query, Replicas};
pub(crate) use positions::{advance, positions_of, read_position, read_positions};
pub use replica::Replica;
pub(crate) use schema::{POSITIONS, Schema};
use table::Conflict;
pub(crate) use table::{Dialect, Table, blob, bytes, int, optional, text, word};
pub(crate) use tx::Tx;
