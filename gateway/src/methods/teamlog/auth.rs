//! `teamlog.auth.*`

use serde_json::Map;

use super::{
    super::{Call, Method, Reply, rows},
    issue, passwords, with_user,
};
use crate::ApiError;

pub(in super::super) const METHODS: &[Method] = rows! {
    "teamlog.auth.signin" "" Anybody Once signin;
};

/// `teamlog.auth.signin`: whatever is wrong, it is `invalid_auth`, and takes as long.
async fn signin(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let invalid = || ApiError::refused("invalid_auth");
    let credentials =
        call.gateway.credentials().ok_or(ApiError::refused("not_accepted").saying("no passwords here"))?;
    let (domain, email) = (args.text("domain")?.unwrap_or_default(), args.text("email")?.unwrap_or_default());
    let password = args.text("password")?.unwrap_or_default().into_owned();
    let account: String = format!("{domain}/{}", email.to_lowercase()).chars().take(320).collect();
    call.gateway.rates().signin(format!("peer/{:?}", call.client.address))?;
    call.gateway.rates().signin(format!("account/{account}"))?;
    let team = match call.gateway.ingest().directory().find_domain(&domain).await? {
        Some(entry) => Some(call.gateway.ingest().team(entry.team).await?),
        None => None,
    };
    let user = team.as_ref().and_then(|team| {
        let team = team.read();
        let member = team.person_by_email(email.trim()).filter(|member| !member.person.deleted)?;
        Some(member.person.user)
    });
    let hash = match team.as_ref().zip(user) {
        Some((team, user)) => credentials.password(team.id(), user).await?,
        None => None,
    };
    let fits = passwords::fits(call, hash, password).await?;
    let (team, user) = team.zip(user).filter(|_| fits).ok_or_else(invalid)?;
    let (token, _) = issue(call, &team, Some(user), user).await?;
    let mut reply = Map::new();
    with_user(&mut reply, &team.read(), user, Some(token))?;
    Ok(reply.into())
}
