//! The one reader of a partition in a process: one fence, one decode, one ring of recent entries for everybody.
//!
//! The writer's read-back, projectors, live teams and sessions all read from here. Who falls out of the ring reads the
//! log by itself ([`Subscriber`]) or in company ([`Feed::scan`]) and rejoins.

mod ends;
mod entry;
mod ring;
mod scan;
mod service;
mod subscriber;

pub use entry::{Body, Decoder, Entry, Undecodable, decoder};
pub use service::{Feed, FeedConfig, FeedError};
pub use subscriber::Subscriber;
