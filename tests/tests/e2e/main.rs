//! The real binary, end to end, through its two public protocols.
#![allow(clippy::unwrap_used)]

mod archive;
mod loss;
mod no_gap;
mod refusals;
mod rtm;
mod sdk;
mod spine;
