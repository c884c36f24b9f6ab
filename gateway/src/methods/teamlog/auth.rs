//! `teamlog.auth.*`

use serde_json::{Map, json};

use super::{
    super::{Access, Call, Method, Reply, Retry, Tier, takes},
    TOKEN, USER, issue, passwords, with_user,
};
use crate::{ApiError, args::args};

pub(crate) const METHODS: &[Method] = &[SIGN_IN];

const SIGN_IN: Method = Method {
    name: "teamlog.auth.signin",
    alias_of: None,
    about: "Gives a token for a password. Whatever is wrong, the answer is `invalid_auth`, and takes as long.",
    scope: "",
    access: Access::Anybody,
    retry: Retry::Once,
    tier: Tier::Special,
    takes: takes!(SignIn => sign_in),
    answers: &[USER, TOKEN],
    errors: &["team_not_found"],
    examples: &[|| json!({ "domain": "lovelace", "email": "ada@example.com", "password": "correct horse" })],
};

args! {
    struct SignIn {
        /// The team's domain.
        domain: String [missing "invalid_auth"],
        /// The person's address.
        email: String [missing "invalid_auth"],
        /// The password.
        password: String [missing "invalid_auth"],
    }
}

async fn sign_in(call: &Call<'_>, args: SignIn) -> Result<Reply, ApiError> {
    let invalid = || ApiError::refused("invalid_auth");
    let credentials =
        call.gateway.credentials().ok_or(ApiError::refused("not_accepted").saying("no passwords here"))?;
    let SignIn { domain, email, password } = args;
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
