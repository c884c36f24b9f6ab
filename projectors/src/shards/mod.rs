//! Shards: the rows of teams in a database, each replica projected on its own from the same log.

mod changes;
mod config;
mod fold;
mod placement;
mod projector;
mod questions;
mod reader;
mod tables;
mod values;

pub use config::ShardConfig;
pub use placement::Misplaced;
pub use projector::ShardProjector;
pub use questions::{HistoryPage, Unread};
pub use reader::Shards;
pub(crate) use tables::SHARD;
pub use tables::ScheduledPage;
