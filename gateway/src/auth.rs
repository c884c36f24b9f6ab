//! Authentication: from a token's text to a member of a team.

use std::sync::Arc;

use teamlog_live::{LiveTeam, TeamsError};
use teamlog_schemas::{TeamId, TokenKind, UserId};
use teamlog_state::{Team, TokenHash};

use crate::{ApiError, Gateway};

/// A user who calls with a valid token. The token was valid when this was made; if it is revoked later, decisions and reads
/// after that reject it.
#[derive(Clone)]
pub struct Caller {
    /// Their team, held so that it stays in memory for the call.
    pub team: Arc<LiveTeam>,
    /// The user.
    pub user: UserId,
    /// The token's kind: a person's or a bot's.
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

/// A token as a call brings it.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// The team that it names; none if it is no token of anybody.
    pub(crate) team: Option<TeamId>,
}

impl Token {
    pub(crate) fn new(text: String) -> Token {
        let team = teamlog_cluster::team_named_by(&text);
        Token { text, team }
    }
}

impl Gateway {
    /// Returns the caller that a token stands for.
    ///
    /// # Errors
    /// `invalid_auth` for what is no token of anybody, `token_revoked`, `account_inactive`; an error that may pass if
    /// the team cannot be had now.
    pub async fn caller(&self, token: &str) -> Result<Caller, ApiError> {
        self.caller_or(&Token::new(token.to_owned()), || Ok(())).await
    }

    /// Returns the caller like [`Gateway::caller`]. `on_unknown` rate-limits the client. It runs at most once: before the
    /// log is read for an unknown team or token, or else when the token is rejected or cannot be checked. Its error is
    /// returned.
    pub(crate) async fn caller_or(
        &self,
        token: &Token,
        on_unknown: impl FnOnce() -> Result<(), ApiError>,
    ) -> Result<Caller, ApiError> {
        let mut on_unknown = Some(on_unknown);
        let mut is_unknown = || on_unknown.take().map_or(Ok(()), |on_unknown| on_unknown());
        match self.resolve(token, &mut is_unknown).await {
            Ok(caller) => Ok(caller),
            Err(why) => Err(is_unknown().err().unwrap_or(why)),
        }
    }

    async fn resolve(
        &self,
        token: &Token,
        is_unknown: &mut impl FnMut() -> Result<(), ApiError>,
    ) -> Result<Caller, ApiError> {
        let invalid = || ApiError::refused("invalid_auth");
        let team = token.team.ok_or_else(invalid)?;
        // A team that another node made a moment ago may not have been read here yet.
        let partition = match self.partition_of(team) {
            Some(partition) => partition,
            None => {
                is_unknown()?;
                self.ingest().directory().partition(team).await?.ok_or_else(invalid)?
            }
        };
        let team = match self.ingest().team_in(partition, team).await {
            Ok(team) => team,
            Err(TeamsError::NotFound) => return Err(invalid()),
            Err(why) => return Err(why.into()),
        };
        let token = teamlog_cluster::token_hash(&token.text);
        // A token that another node has just issued may not have been read either.
        if team.read().token(&token).is_none() {
            is_unknown()?;
            self.ingest().teams().come_to_the_end(team.partition()).await?;
        }
        let (user, kind) = check(&team.read(), &token)?;
        Ok(Caller { team, user, kind, token })
    }

    /// Returns true if a token is the operators' key. The time does not depend on the token.
    pub(crate) fn is_admin_key(&self, token: &Token) -> bool {
        self.config().admin_key.as_deref().is_some_and(|key| same(key, &token.text))
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

/// Returns true if two secrets are equal. The time depends only on their lengths.
pub(crate) fn same(one: &str, other: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(one.as_bytes(), other.as_bytes()).into()
}
