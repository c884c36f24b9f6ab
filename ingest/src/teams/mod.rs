//! The one service of live teams in a process: loaded once at X plus the tail, kept true by the feed, used by writers
//! and gateways alike.

mod directory;
mod live;
mod load;
mod service;

pub use directory::DirectoryHandle;
pub use live::{LiveTeam, TeamGuard};
pub use service::{Observer, Teams, TeamsConfig, TeamsError};
