//! Who calls: from a token's text to a member of a team.

use std::sync::Arc;

use teamlog_live::{LiveTeam, TeamsError};
use teamlog_schemas::{TokenKind, UserId};
use teamlog_state::{Team, TokenHash};

use crate::{ApiError, Gateway};

/// Whoever calls with a good token. As good as when it was made: a token that is revoked later is refused by what is
/// decided and read then.
#[derive(Clone)]
pub struct Caller {
    /// Their team, held so that it stays in memory for the call.
    pub team: Arc<LiveTeam>,
    /// Who.
    pub user: UserId,
    /// A person's or a bot's token.
    pub kind: TokenKind,
    /// SHA-256 of the token's text.
    pub token: TokenHash,
}

impl Caller {
    /// SHA-256 of the token's text, in hex.
    pub fn token_hex(&self) -> String {
        self.token.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Gateway {
    /// The caller that a token stands for.
    ///
    /// # Errors
    /// `invalid_auth` for what is no token of anybody, `token_revoked`, `account_inactive`; an error that may pass if
    /// the team cannot be had now.
    pub async fn caller(&self, token: &str) -> Result<Caller, ApiError> {
        self.caller_or(token, || Ok(())).await
    }

    /// The same. `stranger` is called once for every token that is not known to be good as of what was read here, before
    /// the log is asked for more, and what it says is said.
    pub(crate) async fn caller_or(
        &self,
        token: &str,
        stranger: impl FnOnce() -> Result<(), ApiError>,
    ) -> Result<Caller, ApiError> {
        let mut stranger = Some(stranger);
        let mut is_strange = || stranger.take().map_or(Ok(()), |stranger| stranger());
        match self.sought(token, &mut is_strange).await {
            Ok(caller) => Ok(caller),
            Err(why) => Err(is_strange().err().unwrap_or(why)),
        }
    }

    async fn sought(
        &self,
        token: &str,
        is_strange: &mut impl FnMut() -> Result<(), ApiError>,
    ) -> Result<Caller, ApiError> {
        let invalid = || ApiError::refused("invalid_auth");
        let team = teamlog_cluster::team_named_by(token).ok_or_else(invalid)?;
        // A team that another node made a moment ago may not have been read here yet.
        if self.partition_of(team).is_none() {
            is_strange()?;
        }
        let team = match self.ingest().team(team).await {
            Ok(team) => team,
            Err(TeamsError::NotFound) => return Err(invalid()),
            Err(why) => return Err(why.into()),
        };
        let token = teamlog_cluster::token_hash(token);
        // Nor a token that it gave out.
        if team.read().token(&token).is_none() {
            is_strange()?;
            self.ingest().teams().come_to_the_end(team.partition()).await?;
        }
        let (user, kind) = check(&team.read(), &token)?;
        Ok(Caller { team, user, kind, token })
    }

    /// Whether a token is the operators' key. In time that does not depend on the token.
    pub(crate) fn is_admin_key(&self, token: &str) -> bool {
        self.config().admin_key.as_deref().is_some_and(|key| same(key, token))
    }
}

fn check(team: &Team, token: &TokenHash) -> Result<(UserId, TokenKind), ApiError> {
    let state = team.token(token).ok_or(ApiError::refused("invalid_auth"))?;
    if state.revoked {
        return Err(ApiError::refused("token_revoked"));
    }
    match team.person(state.user) {
        Some(member) if !member.person.deleted => Ok((state.user, state.kind)),
        _ => Err(ApiError::refused("account_inactive")),
    }
}

/// Whether two secrets are the same, in time that depends on their lengths alone.
pub(crate) fn same(one: &str, other: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(one.as_bytes(), other.as_bytes()).into()
}
