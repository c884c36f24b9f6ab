//! The second step of making a team.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{TeamCreated, TeamRegistered};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{
    Nothing,
    decide::{Context, Now, team_begun},
};

/// Begins a team that is registered: the only command that can be decided without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeginTeam(pub TeamRegistered);

impl BeginTeam {
    /// Returns the beginning of a team that has not begun.
    pub(crate) fn begin(&self, now: &Now<'_>) -> TeamCreated {
        team_begun(&self.0, now.event_id, now.at)
    }
}

impl Act for BeginTeam {
    type Made = TeamCreated;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    /// Finds that the team has begun, for it is there.
    fn decide(&self, _: &mut Context<'_, '_>) -> Result<TeamCreated, NoEvent> {
        Err(Nothing::AlreadyBegun.into())
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![BeginTeam(scene.registered())]
    }
}
