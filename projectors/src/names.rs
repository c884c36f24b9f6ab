//! The names of views, as they appear in heartbeats, in metrics and in operators' commands.

/// The view of the directory.
pub const MAINS: &str = "mains";
/// The search index.
pub const SEARCH: &str = "search";

/// Returns the name of a shard's view.
pub fn shard(shard: &str) -> String {
    format!("shard {shard}")
}
