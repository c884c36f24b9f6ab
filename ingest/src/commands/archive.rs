//! A channel goes to the archive and comes back.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationArchived, ConversationId, ConversationUnarchived};
use teamlog_state::{FactsWanted, Team};

use super::Act;
use crate::{Refusal, decide::Context};

/// Archives a channel. For its members and admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    /// The channel.
    pub conversation: ConversationId,
}

impl Act for Archive {
    type Made = ConversationArchived;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ConversationArchived, Refusal> {
        let channel = it.channel(self.conversation)?;
        if channel.is_archived {
            return Err(Refusal::AlreadyArchived);
        }
        if channel.is_general {
            return Err(Refusal::CantArchiveGeneral);
        }
        if !it.is_admin() {
            it.must_be_in(channel)?;
        }
        Ok(ConversationArchived { meta: it.meta(), conversation: self.conversation, ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Archive { conversation: scene.conversation }]
    }
}

/// Brings a channel back from the archive. For those who may see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unarchive {
    /// The channel.
    pub conversation: ConversationId,
}

impl Act for Unarchive {
    type Made = ConversationUnarchived;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ConversationUnarchived, Refusal> {
        let channel = it.channel(self.conversation)?;
        if !channel.is_archived {
            return Err(Refusal::NotArchived);
        }
        Ok(ConversationUnarchived { meta: it.meta(), conversation: self.conversation, ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Unarchive { conversation: scene.conversation }]
    }
}
