//! `teamlog.users.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::{NewPerson, commands::CreateUser};
use teamlog_schemas::{TeamId, UserId};

use super::{
    super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes},
    TOKEN, USER, enter_general, issue, keep_password, new_password, place, with_user,
};
use crate::{ApiError, args::args};

pub(crate) const METHODS: &[Method] = &[CREATE, LIST, ISSUE_TOKEN];

const CREATE: Method = Method {
    name: "teamlog.users.create",
    alias_of: None,
    about: "Makes a person or a bot's user. An admin does it in their own team, an operator in any.",
    scope: "admin",
    access: Access::UserOrAdmin,
    retry: Retry::Once,
    tier: Tier::Special,
    takes: takes!(Create => create),
    answers: &[USER, TOKEN],
    errors: &[
        "restricted_action",
        "invalid_name",
        "name_taken",
        "invalid_email",
        "email_taken",
        "invalid_password",
        "too_long",
        "msg_too_long",
    ],
    examples: &[|| json!({ "name": "dan", "real_name": "Dan", "email": "dan@example.com" })],
};

args! {
    struct Create {
        /// The handle: lower case letters, digits, `-`, `_` and periods.
        name: String [missing "invalid_name_required"],
        /// The name.
        real_name: Option<String>,
        /// The address.
        email: Option<String>,
        /// The password, of 8 to 1,024 bytes. Without one the person cannot sign in.
        password: Option<String>,
        /// True for a bot's user.
        is_bot: bool,
        /// True for an admin.
        is_admin: bool,
        /// The time zone: `Europe/London`.
        tz: Option<String>,
        /// An operator's choice of the team: its domain.
        domain: Option<String>,
        /// An operator's choice of the team: its id, where `domain` is left out.
        team: Option<TeamId>,
    }
}

async fn create(call: &Call<'_>, args: Create) -> Result<Reply, ApiError> {
    let (team, actor) = place(call, args.domain.as_deref(), args.team).await?;
    let is_allowed = actor.is_none_or(|actor| {
        team.read().person(actor).is_some_and(|member| member.person.is_admin || member.person.is_owner)
    });
    if !is_allowed {
        return Err(ApiError::refused("restricted_action"));
    }
    let hash = new_password(call, args.password).await?;
    let user = UserId::random('U', rand::random());
    let person = NewPerson {
        user: Some(user),
        name: args.name,
        real_name: args.real_name.unwrap_or_default(),
        email: args.email,
        is_bot: args.is_bot,
        is_admin: args.is_admin,
        tz: args.tz,
        with_token: true,
        credential_id: keep_password(call, team.id(), user, hash).await?,
        ..NewPerson::default()
    };
    let created = call.write_as(&team, actor, call.key.clone(), CreateUser(person)).await?.made()?;
    // A retry with the call's key finds its first answer, so the person is the one that the first try made.
    enter_general(call, &team, created.person.user).await;
    let token = call.gateway.ingest().secrets().token_of(created.event());
    let mut reply = Map::new();
    with_user(&mut reply, &team.read(), created.person.user, token)?;
    Ok(reply.into())
}

const ISSUE_TOKEN: Method = Method {
    name: "teamlog.users.token",
    alias_of: None,
    about: "Gives a person another token.",
    scope: "admin",
    access: Access::Admin,
    retry: Retry::Once,
    tier: Tier::Special,
    takes: takes!(IssueToken => issue_token),
    answers: &[USER, TOKEN],
    errors: &["user_disabled"],
    examples: &[|| json!({ "domain": "lovelace", "user": "bob" }), || json!({ "team": "T0LOVELACE", "user": "U0BOB" })],
};

args! {
    struct IssueToken {
        /// The team's domain.
        domain: Option<String>,
        /// The team's id, where `domain` is left out.
        team: Option<TeamId>,
        /// The person: an id or a handle.
        user: String [missing "user_not_found", malformed "user_not_found"],
    }

    struct List {
        /// The team's domain.
        domain: Option<String>,
        /// The team's id, where `domain` is left out.
        team: Option<TeamId>,
    }
}

async fn issue_token(call: &Call<'_>, args: IssueToken) -> Result<Reply, ApiError> {
    let (team, _) = place(call, args.domain.as_deref(), args.team).await?;
    let wanted = args.user;
    let user = {
        let team = team.read();
        let by_id = wanted.parse::<UserId>().ok().and_then(|user| team.person(user));
        let member = by_id.or_else(|| team.person_named(wanted.trim_start_matches('@')));
        member.map(|member| member.person.user).ok_or(ApiError::refused("user_not_found"))?
    };
    let (token, user) = issue(call, &team, None, user).await?;
    let mut reply = Map::new();
    with_user(&mut reply, &team.read(), user, Some(token))?;
    Ok(reply.into())
}

const LIST: Method = Method {
    name: "teamlog.users.list",
    alias_of: None,
    about: "Lists the people of a team, in short.",
    scope: "admin",
    access: Access::Admin,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(List => list),
    answers: &[Key::always("users", Shape::List, "The people, with `is_bot`, `is_admin` and `deleted`.")],
    errors: &[],
    examples: &[|| json!({ "domain": "lovelace" })],
};

async fn list(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    let (team, _) = place(call, args.domain.as_deref(), args.team).await?;
    let team = team.read();
    let users: Vec<Value> = team
        .people()
        .map(|member| {
            let person = &member.person;
            json!({
                "id": person.user,
                "name": person.name.as_str(),
                "real_name": person.real_name.as_str(),
                "email": person.email.as_ref().map(|email| email.as_str()),
                "is_admin": person.is_admin,
                "is_bot": person.bot.is_some(),
                "deleted": person.deleted,
            })
        })
        .collect();
    Ok(Reply::from(json!({ "users": users })))
}
