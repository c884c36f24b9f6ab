//! RTM: sessions that miss nothing.
//!
//! [`Hub`](hub::Hub) sees every event in log order and pushes its frames to the sessions that are live; a session
//! (`session.rs`) catches up from its position and goes live in one atomic step, and falls back to catching up when its
//! queue overflows. `frames.rs` says what an event looks like on the wire, `ticket.rs` what a url and a cursor are.

mod connect;
mod frames;
mod hub;
mod service;
mod session;
mod ticket;
mod visible;

pub use service::{Rtm, RtmConfig};
