//! `decide`, held by tables of refusals and by laws over random commands.
#![allow(clippy::unwrap_used)]

mod beginnings;
mod conversations;
mod golden;
mod laws;
mod messages;
mod people;
mod rig;
