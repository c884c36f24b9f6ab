//! The questions that a shard answers out of several tables. Those of one table lie beside it, in `../tables/`.

mod facts;
mod history;
mod team;
mod unread;

pub(super) use facts::FactsQuery;
pub use history::HistoryPage;
pub(super) use team::TeamQuery;
pub use unread::Unread;
