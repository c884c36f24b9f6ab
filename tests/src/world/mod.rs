//! A team in motion: writers post without pause, people come to conversations and leave them, sessions are cut off at
//! random moments and come back. `judge.rs` says what each of them must have heard; `listeners.rs` is the sessions,
//! `doers.rs` the writers and those who move people.
#![allow(clippy::unwrap_used, reason = "what goes wrong in here fails the test")]

mod doers;
mod judge;
mod listeners;
mod motion;
mod run;

pub use judge::{Judge, Run};
pub use motion::{Size, Told, World};
