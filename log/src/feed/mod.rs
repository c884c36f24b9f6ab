//! The reader of each partition in a process: one fence, one decode, one ring of recent entries that all share.
//!
//! The writer's read-back, projectors, live teams and sessions all read from here. A reader that falls out of the ring
//! reads the log on its own ([`Subscriber`]) or by a shared scan ([`Feed::scan`]) and then rejoins.

mod check;
mod ends;
mod entry;
mod error;
mod handle;
mod reading;
mod ring;
mod scan;
mod shared;
mod subscriber;

pub use entry::{Body, Decoder, Entry, Undecodable, decoder};
pub use error::FeedError;
pub use handle::Feed;
pub use shared::FeedConfig;
pub use subscriber::Subscriber;
