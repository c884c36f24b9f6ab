//! The one writer of a partition: takes commands in turn, decides them against its own state that runs ahead of the
//! log, appends, reads back, answers. Generic over its decider: that of the teams of a partition of `events`, or that of the directory.
//!
//! The rules that make it safe (numbers as in `docs/protocol.md`):
//!
//! 1. it decides only while the *last* claim it sent is the newest that counts;
//! 2. a command is acknowledged once its record was read back as counting and the log acknowledged it, or a later
//!    record of this writer;
//! 3. what appends nothing (a refusal, a no-op, a repeat of what is in flight) is answered once a record that was
//!    appended *after* its decision has been read back as counting: a barrier, where no event comes along;
//! 4. after an append that failed or whose outcome is unknown it appends nothing under that epoch any more: it claims
//!    anew, if its node is chosen still. Once that claim counts, whatever was in flight either counts or never will.

mod decider;
mod handle;
mod inflight;
mod lanes;
mod service;

pub(crate) use decider::{Decider, Loaded, Lookup};
pub(crate) use handle::Submission;
pub use handle::{WriterConfig, WriterHandle};
pub(crate) use service::start;
