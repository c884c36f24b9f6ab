//! Events folded into a `Team` and into `Facts`.
#![allow(clippy::unwrap_used)]

mod events;
mod facts;
mod sharing;
mod team;
