//! RTM: sessions that miss nothing.
//!
//! [`Hub`](hub::Hub) sees every event in log order and pushes its frames (`crate::frames` says what an event looks like
//! on the wire) to the sessions that are live. A session (`session.rs`) catches up from its place (`replay.rs`,
//! `room.rs`), goes live in one atomic step, and falls back to catching up when its queue overflows. `incoming.rs` handles
//! its client's frames, `pace.rs` limits their rate. `connect.rs` opens a session, `redeem.rs` checks its ticket,
//! `admission.rs` and `people.rs` bound the cost of that, `ticket.rs` is the content of a URL.

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
