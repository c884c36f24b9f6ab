//! Rules that a process can leave out, so that a test shows that it would notice.
//!
//! Each is asked for in the one place that keeps it, and only where the feature `testing` is on: a build without it has
//! no such question. What is left out is the process's, and chosen once: a test that breaks a rule has a process of its
//! own.

use std::sync::OnceLock;

/// A rule of `docs/protocol.md` or of what rests on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// F3 and F4: a record counts by its `seq`. Left out: every record of the newest epoch counts.
    Seq,
    /// Rule 2 of the writer: acknowledged is what was read back as counting. Left out: what the log acknowledged.
    ReadBack,
    /// Rule 3 of the writer: what appends nothing is answered behind a record. Left out: it is answered at once.
    Barrier,
    /// A position says that its epoch is closed. Left out: a view goes on with the `seq` that was next before.
    Closed,
    /// What was missed is shown by the memberships of then. Left out: by those of now.
    MembershipAtX,
    /// How far a consumer has come is below all its work that is not done. Left out: as far as it has read.
    LowWater,
}

static LEFT_OUT: OnceLock<Rule> = OnceLock::new();

/// Leaves a rule out for as long as this process lives.
///
/// # Panics
/// If one was left out before.
pub fn leave_out(rule: Rule) {
    assert!(LEFT_OUT.set(rule).is_ok(), "one rule a process can be left out");
}

/// Whether a rule is left out.
pub fn is_left_out(rule: Rule) -> bool {
    LEFT_OUT.get() == Some(&rule)
}
