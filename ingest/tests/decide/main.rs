//! `decide`, held by tables of refusals and by laws over random commands.
#![allow(clippy::unwrap_used)]

mod attachments;
mod beginnings;
mod conversations;
mod golden;
mod laws;
mod messages;
mod people;
mod pins;
mod rig;
mod scheduled;
