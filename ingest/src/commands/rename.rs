//! A channel gets another name.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, ConversationRenamed};
use teamlog_state::{FactsWanted, Team};

use super::Act;
use crate::{
    Refusal,
    decide::{Context, names},
};

/// Renames a channel. For its maker and admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rename {
    /// The channel.
    pub conversation: ConversationId,
    /// The new name.
    pub name: String,
}

impl Act for Rename {
    type Made = ConversationRenamed;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ConversationRenamed, Refusal> {
        let conversation = self.conversation;
        let channel = it.own_channel(conversation)?;
        names::channel_name(&self.name)?;
        if !it.is_admin() && channel.creator != it.origin.actor {
            return Err(Refusal::NotAuthorized);
        }
        if it.team.channel_named(&self.name).is_some() {
            return Err(Refusal::NameTaken);
        }
        let old_name = channel.name.clone().unwrap_or_default();
        Ok(ConversationRenamed { meta: it.meta(), conversation, old_name, name: self.name.clone(), ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Rename { conversation: scene.conversation, name: scene.name("c") }]
    }
}
