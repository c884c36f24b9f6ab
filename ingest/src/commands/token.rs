//! Tokens are issued and revoked.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{TokenIssued, TokenRevoked, UserId};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{Nothing, Refusal, decide::Context};

/// Issues a new token to somebody: to the actor, or by an admin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IssueToken {
    /// Its owner.
    pub user: UserId,
}

impl Act for IssueToken {
    type Made = TokenIssued;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<TokenIssued, Refusal> {
        if !it.is_admin() && it.origin.actor != Some(self.user) {
            return Err(Refusal::NotAllowed);
        }
        let member = it.person(self.user)?;
        let token = it.token_for(self.user, member.person.bot.is_some());
        Ok(TokenIssued { meta: it.meta(), token })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![IssueToken { user: scene.user }]
    }
}

/// Revokes a token: the actor's own, or by an admin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevokeToken {
    /// SHA-256 of its text, in hex.
    pub hash: String,
}

impl Act for RevokeToken {
    type Made = TokenRevoked;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<TokenRevoked, NoEvent> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.hash, &mut bytes).map_err(|_| Refusal::TokenNotFound)?;
        let state = it.team.token(&bytes).ok_or(Refusal::TokenNotFound)?;
        if !it.is_admin() && it.origin.actor != Some(state.user) {
            return Err(Refusal::NotAllowed.into());
        }
        if state.revoked {
            return Err(Nothing::AlreadyRevoked.into());
        }
        Ok(TokenRevoked { meta: it.meta(), user: state.user, hash: hex::encode(bytes) })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![RevokeToken { hash: scene.token_hash.clone() }]
    }
}
