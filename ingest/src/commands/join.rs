//! The actor joins a public channel.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, ConversationKind, Joined, MembersJoined};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{Nothing, Refusal, decide::Context};

/// Makes the actor a member of a public channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The channel.
    pub conversation: ConversationId,
}

impl Act for Join {
    type Made = MembersJoined;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MembersJoined, NoEvent> {
        let conversation = self.conversation;
        let (actor, channel) = (it.actor()?, it.channel(conversation)?);
        if it.team.is_member(actor, conversation) {
            return Err(Nothing::AlreadyIn(conversation).into());
        }
        if channel.kind != ConversationKind::PublicChannel {
            return Err(Refusal::ChannelNotFound.into());
        }
        if channel.is_archived {
            return Err(Refusal::IsArchived.into());
        }
        let joined = vec![Joined { user: actor, ts: it.ts() }];
        Ok(MembersJoined { meta: it.meta(), conversation, inviter: None, joined })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Join { conversation: scene.conversation }]
    }
}
