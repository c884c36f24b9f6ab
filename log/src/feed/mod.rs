//! The one reader of a partition in a process: one fence, one decode, one ring of recent entries for everybody.
//!
//! The writer's read-back, projectors, live teams and sessions all read from here. Who falls out of the ring reads the
//! log by itself ([`Subscriber`]) or in company ([`Feed::scan`]) and rejoins.

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
