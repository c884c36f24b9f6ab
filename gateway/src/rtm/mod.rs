//! RTM: sessions that miss nothing.
//!
//! [`Hub`](hub::Hub) sees every event in log order and pushes its frames (`frames.rs` says what an event looks like on
//! the wire, `frame.rs` shares one encoding of it) to the sessions that are live. A session (`session.rs`) catches up
//! from its place (`replay.rs`, `visible.rs`, `room.rs`), goes live in one atomic step, and falls back to catching up when its
//! queue overflows; `incoming.rs` is what its client says, `pace.rs` how fast it may. `connect.rs` is where a session
//! begins, `redeem.rs` who is let in, `admission.rs` and `people.rs` what keeps that cheap, `ticket.rs` what a url and a
//! cursor are.

mod admission;
mod connect;
mod frame;
mod frames;
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
mod visible;

pub use service::{Rtm, RtmConfig};
