//! The real binary, end to end, through its two public protocols.
#![allow(clippy::unwrap_used)]

mod loss;
mod no_gap;
mod nodes;
mod rtm;
mod sdk;
mod spine;
mod views;
