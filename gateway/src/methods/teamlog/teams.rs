//! `teamlog.teams.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::{NewPerson, NewTeam};
use teamlog_schemas::{TeamId, TeamRegistered, UserId};

use super::{
    super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes},
    TOKEN, USER, keep_password, new_password, with_user,
};
use crate::{
    ApiError,
    args::{NoArgs, args},
    auth,
    config::Signup,
    error::settle,
    render,
};

pub(crate) const METHODS: &[Method] = &[CREATE, LIST];

const CREATE: Method = Method {
    name: "teamlog.teams.create",
    alias_of: None,
    about: "Makes a team and its owner. Who may do so is a setting of the server.",
    scope: "",
    access: Access::Anybody,
    retry: Retry::Once,
    tier: Tier::Special,
    takes: takes!(Create => create),
    answers: &[Key::always("team", Shape::Object, "The team."), USER, TOKEN],
    errors: &[
        "signup_closed",
        "domain_taken",
        "invalid_name",
        "invalid_email",
        "invalid_password",
        "name_taken",
        "too_long",
        "msg_too_long",
    ],
    examples: &[|| {
        json!({
            "domain": "engine-works",
            "name": "Engine Works",
            "owner_name": "eve",
            "owner_email": "eve@example.com",
            "signup_key": "a key",
        })
    }],
};

args! {
    struct Create {
        /// The team's domain: 1 to 63 lower case letters, digits and inner hyphens.
        domain: String [missing "invalid_domain"],
        /// The team's name; the domain if it is left out.
        name: Option<String>,
        /// The owner's handle.
        owner_name: String [missing "invalid_name_required"],
        /// The owner's name.
        owner_real_name: Option<String>,
        /// The owner's address.
        owner_email: Option<String>,
        /// The owner's password, of 8 to 1,024 bytes. Without one the owner cannot sign in.
        owner_password: Option<String>,
        /// The key that the server may ask for.
        signup_key: Option<String>,
    }
}

async fn create(call: &Call<'_>, args: Create) -> Result<Reply, ApiError> {
    if !may_sign_up(call, args.signup_key.as_deref()) {
        return Err(ApiError::refused("signup_closed"));
    }
    if !call.admin && !call.client.is_local {
        call.gateway.rates().signin(format!("peer/{:?}", call.client.address))?;
    }
    let hash = new_password(call, args.owner_password).await?;
    let (team, user) = (TeamId::random('T', rand::random()), UserId::random('U', rand::random()));
    let owner = NewPerson {
        user: Some(user),
        name: args.owner_name,
        real_name: args.owner_real_name.unwrap_or_default(),
        email: args.owner_email,
        is_admin: true,
        with_token: true,
        credential_id: keep_password(call, team, user, hash).await?,
        ..NewPerson::default()
    };
    let domain = args.domain;
    let name = args.name.unwrap_or_else(|| domain.clone());
    let (key, deadline) = (call.key.clone(), call.deadline());
    let new = NewTeam { domain, name, owner, team: Some(team), channels: None, key, deadline };
    let answer = call.gateway.ingest().create_team(new).await;
    call.seen(&answer).await;
    let registered = settle::<TeamRegistered>(answer)?.made()?;
    let (team, owner) = (registered.meta.team, registered.owner.user);
    // The team is created: an error in reading it must not suggest that it can be created again.
    let team = call.gateway.ingest().team(team).await.map_err(|_| ApiError::outcome_unknown())?;
    let token = call.gateway.ingest().secrets().token_of(registered.event());
    let guard = team.read();
    let mut reply = Map::new();
    reply.insert("team".to_owned(), render::team(&guard));
    with_user(&mut reply, &guard, owner, token)?;
    Ok(reply.into())
}

/// Whether the caller may make a team at all.
fn may_sign_up(call: &Call<'_>, given: Option<&str>) -> bool {
    let config = call.gateway.config();
    let has_key = config.signup_key.as_deref().zip(given).is_some_and(|(key, given)| auth::same(key, given));
    call.admin
        || match config.signup {
            Signup::Loopback => call.client.is_local || has_key,
            Signup::Closed => false,
            Signup::Key => has_key,
        }
}

const LIST: Method = Method {
    name: "teamlog.teams.list",
    alias_of: None,
    about: "Lists all teams.",
    scope: "",
    access: Access::Admin,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(NoArgs => list),
    answers: &[Key::always("teams", Shape::List, "`id`, `domain`, `name`, `partition` and `shard` of each.")],
    errors: &[],
    examples: &[|| json!({})],
};

async fn list(call: &Call<'_>, _: NoArgs) -> Result<Reply, ApiError> {
    let mut entries = call.gateway.ingest().directory().current().await?.entries();
    entries.sort_unstable_by_key(|entry| entry.offset);
    let teams: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "id": entry.team,
                "domain": entry.domain,
                "name": entry.name,
                "partition": entry.partition,
                "shard": entry.shard,
            })
        })
        .collect();
    Ok(Reply::from(json!({ "teams": teams })))
}
