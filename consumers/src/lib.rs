//! Consumers: what follows the log and acts on the world. Views fold, consumers act.
//!
//! A consumer says of an event which work follows from it (a pure function), and carries out one piece of work: it reads,
//! hands in commands under a key made of the event's id, or calls other servers. All else is the same for every consumer and
//! lies here: where it runs, how far it has come, how often it tries, and what becomes of work that fails for good.
//!
//! Read in this order: [`Consumer`] (what a consumer says of itself) and [`World`] (what it may do inside), `watermark` (how far
//! it has come), `fair`, `rate` and `held` (turns, pace and tries), `pool` (what runs), `follow` (one consumer in one partition), [`JobRunner`]
//! (which of them run here), [`Ledger`] (what the log knows of all that) and [`Letter`] (what failed for good).

mod consumer;
pub mod egress;
mod fair;
mod follow;
mod held;
mod job;
mod kind;
mod ledger;
mod letter;
mod pool;
mod rate;
mod records;
mod retry;
mod runner;
pub mod unfurl;
mod watermark;
mod world;

pub use consumer::{Consumer, JobBudget};
pub use job::{Job, JobEnd, JobId, NotAJob};
pub use kind::KindStatus;
pub use ledger::Ledger;
pub use letter::Letter;
pub use rate::Rate;
pub use retry::{AfterFailure, RetryPolicy};
pub use runner::JobRunner;
pub use world::{Undone, World};
