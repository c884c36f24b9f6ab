//! Views of the log in databases and indexes: their tables, projectors, readers, the runner, rebuild and verify.

mod cache;
mod db;
mod fingerprint;
mod mains;
pub mod names;
mod projector;
mod runner;
mod search;
mod shards;
mod verify;
mod view;

pub use cache::{Cache, Cached, History, LocalCache, MemcachedCache, cache};
pub use db::{DbError, Replica};
pub use fingerprint::OtherSchema;
pub use mains::{Mains, MainsProjector};
pub use projector::{Batch, ProjectError, Projector};
pub use runner::{Progress, Runner, ViewStatus, WaitError, lowest_positions};
pub use search::{Match, MatchOrder, Matches, MessageQuery, Search, SearchError, SearchProjector, highlight};
pub use shards::{HistoryPage, Misplaced, ScheduledPage, ShardConfig, ShardProjector, Shards, Unread};
pub use verify::{BuildTimes, Difference, OneTeam, Rebuilt, Switched, Verified, VerifyError};
pub use view::{View, ViewReplica};
