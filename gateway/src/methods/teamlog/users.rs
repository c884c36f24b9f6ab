//! `teamlog.users.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::{NewPerson, commands::CreateUser};
use teamlog_schemas::UserId;

use super::{
    super::{Call, Method, Reply, rows},
    enter_general, issue, keep_password, new_password, place, with_user,
};
use crate::ApiError;

pub(in super::super) const METHODS: &[Method] = rows! {
    "teamlog.users.create" "admin" UserOrAdmin Once create;
    "teamlog.users.list" "admin" Admin Repeatable list;
    "teamlog.users.token" "admin" Admin Once issue_token;
};

/// `teamlog.users.create`
async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let (team, actor) = place(call).await?;
    let is_allowed = actor.is_none_or(|actor| {
        team.read().person(actor).is_some_and(|member| member.person.is_admin || member.person.is_owner)
    });
    if !is_allowed {
        return Err(ApiError::refused("restricted_action"));
    }
    let hash = new_password(call, "password").await?;
    let user = UserId::random('U', rand::random());
    let person = NewPerson {
        user: Some(user),
        name: args.required("name", "invalid_name_required")?.into_owned(),
        real_name: args.filled("real_name")?.map(|name| name.into_owned()).unwrap_or_default(),
        email: args.filled("email")?.map(|email| email.into_owned()),
        is_bot: args.flag("is_bot")?.unwrap_or(false),
        is_admin: args.flag("is_admin")?.unwrap_or(false),
        tz: args.filled("tz")?.map(|tz| tz.into_owned()),
        with_token: true,
        ..NewPerson::default()
    };
    let person = NewPerson { credential_id: keep_password(call, team.id(), user, hash).await?, ..person };
    let created = call.write_as(team.id(), actor, call.key.clone(), CreateUser(person)).await?.made()?;
    // A retry with the call's key finds its first answer, so the person is whoever that made.
    enter_general(call, &team, created.person.user).await;
    let token = call.gateway.ingest().secrets().token_of(created.event());
    let mut reply = Map::new();
    with_user(&mut reply, &team.read(), created.person.user, token)?;
    Ok(reply.into())
}

/// `teamlog.users.token`, with the operators' key: `domain`, `user` (an id or a handle).
async fn issue_token(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (team, _) = place(call).await?;
    let wanted = call.args.required("user", "user_not_found")?;
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

/// `teamlog.users.list`, with the operators' key: everybody of a `domain`, in short.
async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (team, _) = place(call).await?;
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
