//! Consumers: what follows the log and acts on the world. Views fold, consumers act.
//!
//! A consumer says of an event which work follows from it (a pure function), and carries out one piece of work: it reads,
//! hands in commands under a key made of the event's id, or calls other servers. All else is the same for every consumer and
//! lies here: where it runs, how far it has come, how often it tries, and what becomes of work that fails for good.

pub mod egress;
mod retry;
pub mod unfurl;

pub use retry::{Next, RetryPolicy};
