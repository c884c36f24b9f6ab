//! `Decision`: what a command that is not refused comes to.

use teamlog_schemas::Event;

use crate::Nothing;

/// The outcome of a decision that refuses nothing.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once; nearly all are events")]
pub enum Decision {
    /// The command's event, complete.
    Event(Event),
    /// The wanted state holds already.
    Nothing(Nothing),
}
