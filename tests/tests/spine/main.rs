//! The spine, from a POST to every socket, through the real binary; on the real servers where they are.
#![allow(clippy::unwrap_used)]

mod archive;
mod conversation;
mod crash;
mod harness;
mod refusals;
