//! Commands between nodes: those that are handed in here, and those that go to another node's writers.

mod commands;
mod remote;
mod wire;

#[cfg(feature = "testing")]
pub use commands::answered;
pub use commands::commands;
pub use remote::RemoteWriters;

/// Where an ingest node takes commands, and what is to be written to the directory.
const COMMANDS: &str = "/internal/commands";
const DIRECTORY: &str = "/internal/directory";
