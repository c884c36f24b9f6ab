//! `Now`: what a decision is given by its writer's clock and dice.

use teamlog_cluster::Secrets;
use teamlog_schemas::Ts;
use uuid::Uuid;

/// Time and randomness, given by the writer.
pub struct Now<'a> {
    /// The clock, already within its bound.
    pub at: Ts,
    /// The id of the event to be, a UUID of version 7.
    pub event_id: Uuid,
    /// Dice: 64 random bits a throw.
    pub random: &'a mut dyn FnMut() -> u64,
    /// The keys that tokens are derived from.
    pub secrets: &'a Secrets,
}
