//! The real binary, end to end, through its two public protocols.
#![allow(clippy::unwrap_used)]

mod bench;
mod loss;
mod no_gap;
mod rtm;
mod sdk;
mod spine;
