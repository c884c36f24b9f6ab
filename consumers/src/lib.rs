//! What follows the log and acts on the world.

pub mod egress;
pub mod unfurl;
