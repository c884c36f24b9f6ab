//! Shards: the rows of teams in a database, each replica projected on its own from the same log.

mod fold;
mod placement;
mod projector;
mod queries;
mod reader;
mod rows;
mod tables;

pub use placement::Misplaced;
pub use projector::ShardProjector;
pub use reader::{HistoryPage, ShardConfig, Shards, Unread};
pub(crate) use tables::SHARD;
