//! The trait that every command implements.

use serde::{Serialize, de::DeserializeOwned};
use teamlog_schemas::EventType;
use teamlog_state::{FactsWanted, Team};

#[cfg(any(test, feature = "testing"))]
use super::scene::Scene;
use crate::{Decision, Nothing, Refusal, decide::Context};

/// A command: its data, the facts that it needs, its decision, and samples of it, all in one file.
pub trait Act: Serialize + DeserializeOwned {
    /// The event that the command makes; [`Event`](teamlog_schemas::Event) for a command that makes one of several.
    type Made: EventType;

    /// How the command ends without an event: [`Refusal`] for a command that is either done or refused, [`NoEvent`] for one
    /// that may also find that there is nothing to do.
    type Otherwise: Into<NoEvent>;

    /// Returns the rows that the decision needs beside the team. The writer reads them before it decides.
    fn wants(&self, team: &Team) -> FactsWanted;

    /// Decides the command: a pure function of the team, the facts and what the writer's clock and dice say.
    ///
    /// # Errors
    /// Why no event is made.
    fn decide(&self, it: &mut Context<'_, '_>) -> Result<Self::Made, Self::Otherwise>;

    /// Returns samples of the command about what is in the scene, one at least. The tests of the wire format set great
    /// store by full ones (no `None`, no empty list), the laws of `tests/decide` by those that can be done.
    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &Scene) -> Vec<Self>;
}

/// Why a command makes no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEvent {
    /// The command may not or cannot be done.
    Refused(Refusal),
    /// The wanted state holds already.
    Nothing(Nothing),
}

impl From<Refusal> for NoEvent {
    fn from(refusal: Refusal) -> NoEvent {
        NoEvent::Refused(refusal)
    }
}

impl From<Nothing> for NoEvent {
    fn from(nothing: Nothing) -> NoEvent {
        NoEvent::Nothing(nothing)
    }
}

/// Decides a command and forgets the type of its event.
pub(super) fn decide<A: Act>(act: &A, it: &mut Context<'_, '_>) -> Result<Decision, Refusal> {
    match act.decide(it).map_err(Into::into) {
        Ok(made) => Ok(Decision::Event(made.into())),
        Err(NoEvent::Nothing(nothing)) => Ok(Decision::Nothing(nothing)),
        Err(NoEvent::Refused(refusal)) => Err(refusal),
    }
}
