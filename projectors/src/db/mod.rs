//! What the views in a database share: a replica (MySQL or SQLite), transactions, tables as data, positions.
//!
//! Both kinds run the same SQL with `?`; the few places where they differ are the [`Dialect`]'s.

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
