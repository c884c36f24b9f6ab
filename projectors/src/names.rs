//! What views are called: by their nodes' heartbeats, in metrics, and by operators.

/// The view of the directory.
pub const MAINS: &str = "mains";
/// The search index.
pub const SEARCH: &str = "search";

/// What the view of a shard is called.
pub fn shard(shard: &str) -> String {
    format!("shard {shard}")
}
