//! Views of the log in databases and indexes: their tables, projectors, readers, the runner, rebuild and verify.

mod db;
mod mains;
mod projector;
mod shards;

pub use db::{DbError, Replica};
pub use mains::{Mains, MainsProjector};
pub use projector::{Batch, ProjectError, Projector};
pub use shards::{HistoryPage, ShardConfig, ShardProjector, Shards, Unread};
