//! Rules that a process can leave out, so that a test can show that it notices the violation.
//!
//! Each rule is looked up in the one place that keeps it, and only with the feature `testing`: a build without the feature
//! has no such look-up. The rule that is left out is chosen once for the process, so a test that breaks a rule runs in a
//! process of its own.

use std::sync::OnceLock;

/// A rule of `docs/protocol.md`, or of code that relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// F3 and F4: a record counts by its `seq`. Left out: every record of the newest epoch counts.
    Seq,
    /// Rule 2 of the writer: a command is acknowledged once its record was read back as counting. Left out: once the log
    /// acknowledged the record.
    ReadBack,
    /// Rule 3 of the writer: an answer that appends nothing waits for a later record. Left out: it is sent at once.
    Barrier,
    /// A position carries that its epoch is closed. Left out: a view goes on with the `seq` that was next before the gap.
    Closed,
    /// Missed events are shown by the memberships of their time. Left out: by the present ones.
    MembershipAtX,
    /// How far a consumer has come is below all its work that is not done. Left out: as far as it has read.
    LowWater,
}

static LEFT_OUT: OnceLock<Rule> = OnceLock::new();

/// Leaves a rule out for the rest of this process.
///
/// # Panics
/// If a rule was left out before.
pub fn leave_out(rule: Rule) {
    assert!(LEFT_OUT.set(rule).is_ok(), "one rule a process can be left out");
}

/// Whether a rule is left out.
pub fn is_left_out(rule: Rule) -> bool {
    LEFT_OUT.get() == Some(&rule)
}
