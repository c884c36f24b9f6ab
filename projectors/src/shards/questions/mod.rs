//! The questions that a shard answers out of several tables. Those of one table lie beside it, in `../tables/`.

mod facts;
mod history;
mod source;
mod team;
mod unread;

use facts::FactsQuery;
pub use history::HistoryPage;
use team::TeamQuery;
pub use unread::Unread;
