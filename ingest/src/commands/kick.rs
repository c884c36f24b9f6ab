//! The actor removes somebody from a channel.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, ConversationKind, MemberLeft, UserId};
use teamlog_state::{FactsWanted, Team};

use super::Act;
use crate::{Refusal, decide::Context};

/// Ends somebody else's membership of a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kick {
    /// The channel.
    pub conversation: ConversationId,
    /// The member.
    pub user: UserId,
}

impl Act for Kick {
    type Made = MemberLeft;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MemberLeft, Refusal> {
        let Kick { conversation, user } = *self;
        let channel = it.own_channel(conversation)?;
        if it.origin.actor == Some(user) {
            return Err(Refusal::CantKickSelf);
        }
        if channel.is_general {
            return Err(Refusal::CantKickFromGeneral);
        }
        // In a private channel each member may; in a public one its maker and admins.
        let is_public = channel.kind == ConversationKind::PublicChannel;
        if is_public && !it.is_admin() && channel.creator != it.origin.actor {
            return Err(Refusal::NotAllowed);
        }
        it.team.person(user).ok_or(Refusal::UserNotFound)?;
        if !it.team.is_member(user, conversation) {
            return Err(Refusal::NotInChannel);
        }
        Ok(MemberLeft { meta: it.meta(), conversation, user, kicked_by: it.origin.actor, ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Kick { conversation: scene.conversation, user: scene.user }]
    }
}
