//! The actor brings people into a channel.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, Joined, MembersJoined, UserId};
use teamlog_state::{FactsWanted, Team};

use super::Act;
use crate::{Refusal, decide::Context, limits::INVITED_MAX};

/// Makes people members of a channel that the actor is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invite {
    /// The channel.
    pub conversation: ConversationId,
    /// The people.
    pub users: Vec<UserId>,
}

impl Act for Invite {
    type Made = MembersJoined;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MembersJoined, Refusal> {
        let conversation = self.conversation;
        it.own_channel(conversation)?;
        if self.users.is_empty() {
            return Err(Refusal::UserNotFound);
        }
        if self.users.len() > INVITED_MAX {
            return Err(Refusal::TooManyUsers);
        }
        if it.origin.actor.is_some_and(|actor| self.users.contains(&actor)) {
            return Err(Refusal::CantInviteSelf);
        }
        let mut ts = it.ts();
        let (mut joined, mut seen) = (Vec::new(), HashSet::new());
        for user in &self.users {
            it.person(*user)?;
            if !it.team.is_member(*user, conversation) && seen.insert(*user) {
                joined.push(Joined { user: *user, ts });
                ts = ts.next();
            }
        }
        if joined.is_empty() {
            return Err(Refusal::AlreadyInChannel);
        }
        Ok(MembersJoined { meta: it.meta(), conversation, inviter: it.origin.actor, joined })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Invite { conversation: scene.conversation, users: scene.users.clone() }]
    }
}
