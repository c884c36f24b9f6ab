//! A message and what hangs on it.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{Message, Reaction, Thread};

/// A message and what hangs on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageFact {
    /// The message as it is now.
    pub message: Message,
    /// Its reactions, in the order in which they came.
    pub reactions: Vec<Reaction>,
    /// Of a root with replies: its thread.
    pub thread: Option<Thread>,
    /// A deleted root that stands as a tombstone for its thread.
    pub tombstone: bool,
}
