//! RTM: sessions that miss nothing.
//!
//! [`Hub`](hub::Hub) sees every event in log order and pushes its frames (`crate::frames` says what an event looks like
//! on the wire) to the sessions that are live. A session (`session.rs`) catches up from its place (`replay.rs`,
//! `room.rs`), goes live in one atomic step, and falls back to catching up when its queue overflows; `incoming.rs` is what
//! its client says, `pace.rs` how fast it may. `connect.rs` is where a session begins, `redeem.rs` who is let in,
//! `admission.rs` and `people.rs` what keeps that cheap, `ticket.rs` what a url is.

mod admission;
mod connect;
mod homing;
mod hub;
mod incoming;
mod pace;
mod people;
mod presence;
mod redeem;
mod replay;
mod room;
mod service;
mod session;
mod ticket;

pub use service::{Rtm, RtmConfig};
