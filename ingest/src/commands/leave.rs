//! The actor leaves a channel.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, ConversationKind, MemberLeft};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{Nothing, Refusal, decide::Context};

/// Ends the actor's membership of a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leave {
    /// The channel.
    pub conversation: ConversationId,
}

impl Act for Leave {
    type Made = MemberLeft;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MemberLeft, NoEvent> {
        let conversation = self.conversation;
        let (actor, channel) = (it.actor()?, it.channel(conversation)?);
        if !it.team.is_member(actor, conversation) {
            return Err(Nothing::NotIn.into());
        }
        if channel.is_archived {
            return Err(Refusal::IsArchived.into());
        }
        if channel.is_general {
            return Err(Refusal::CantLeaveGeneral.into());
        }
        if channel.kind == ConversationKind::PrivateChannel && channel.members.len() == 1 {
            return Err(Refusal::LastMember.into());
        }
        Ok(MemberLeft { meta: it.meta(), conversation, user: actor, kicked_by: None, ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Leave { conversation: scene.conversation }]
    }
}
