//! Nodes: each sends heartbeats to the topic `nodes`, and reads there which other nodes live and how true its own clock is.
//!
//! The log's correctness does not depend on any of this: the fence alone decides which writes count. Heartbeats prevent a
//! second server from taking partitions from the first by mistake, and a wrong clock from writing wrong `ts` of messages.
//! They are compared by the broker's stamps alone, never by the clocks of their senders.

mod beats;
mod clock;
mod error;
mod gone;
mod member;
mod placement;
mod seen;
mod service;

pub use clock::{CLOCK_BOUND, Clock};
pub use error::JoinError;
pub use gone::until_gone;
pub use member::NodeParts;
pub use placement::{Membership, Peer, Role};
pub use seen::SILENT_AFTER;
use seen::{Seen, Standing, standing};
pub use service::Nodes;
