//! RTM: sessions that miss nothing.
//!
//! [`Hub`](hub::Hub) sees every event in log order and pushes its frames (`crate::frames` says what an event looks like
//! on the wire) to the sessions that are live. A session (`session.rs`) catches up from its place (`replay.rs`,
//! `room.rs`, `rendered.rs`), goes live in one atomic step, and falls back to catching up when its queue overflows.
//! `incoming.rs` handles its client's frames, `pace.rs` limits their rate, `own.rs` follows the messages among them to
//! their answers, `outbox.rs` is its sending side. `connect.rs` opens a session, `redeem.rs` checks its ticket,
//! `admission.rs` and `people.rs` bound the cost of that, `ticket.rs` is the content of a URL. `state.rs` is what all
//! sessions share, `upkeep.rs` are the tasks beside them.

mod admission;
mod config;
mod connect;
mod homing;
mod hub;
mod incoming;
mod marks;
mod outbox;
mod own;
mod pace;
mod people;
mod presence;
mod redeem;
mod rendered;
mod replay;
mod room;
mod session;
mod state;
mod ticket;
mod upkeep;

pub use config::RtmConfig;
pub use connect::{ConnectArgs, StartArgs, connect, start};
pub use session::serve;
pub use state::Rtm;

pub(crate) use marks::{Mark, marked};
