//! The read side that every process has in memory: the live teams, the directory and the read marks.
//!
//! [`Teams`] is the one service of live teams in a process: loaded once at X plus the tail, kept true by the feed, used
//! by writers and gateways alike. [`DirectoryHandle`] finds a team's partition and shard, [`Marks`] holds how far people
//! have read. [`bridge`] is how rows are read: as of their position, with the tail laid over them.

pub mod bridge;
mod directory;
mod error;
mod live_team;
mod load;
mod marks;
mod partition;
mod teams;

pub use directory::DirectoryHandle;
pub use error::TeamsError;
pub use live_team::{LiveTeam, TeamGuard};
pub use marks::Marks;
pub use partition::Observer;
pub use teams::{Teams, TeamsConfig};
