//! Test support, for this crate and for others: the conformance suite that every engine passes, and an engine that is
//! faulty on purpose.

pub mod conformance;
mod faults;
mod faulty;
mod memory;
mod raw;
mod rules;

pub use faults::Faults;
pub use faulty::FaultyLog;
pub use raw::{RawAppend, stray};
pub use rules::{Rule, is_left_out, leave_out};
