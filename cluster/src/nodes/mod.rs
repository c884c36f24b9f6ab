//! Nodes: each says on the topic `nodes` that it lives, and sees there who else does and how true its clock is.
//!
//! Nothing here is needed for the log to be right: the fence alone says what counts. It keeps a second server from taking
//! the partitions away from the first by mistake, and a clock that is wrong from running away with messages' `ts`.
//! Heartbeats are compared by the broker's stamps alone, never by the clocks of those who sent them.

mod clock;
mod gone;
mod member;
mod placement;
mod seen;
mod service;

pub use clock::{CLOCK_BOUND, Clock};
pub use gone::until_gone;
pub use placement::{Membership, Peer, Role};
pub use seen::SILENT_AFTER;
use seen::{Seen, Standing, standing};
pub use service::{JoinError, NodeParts, Nodes};
