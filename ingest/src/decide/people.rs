//! People, bots, tokens, passwords.

use teamlog_cluster::token_hash as hash;
use teamlog_schemas::{
    BotAdded, BotId, Event, PasswordSet, Person, Text, Token, TokenIssued, TokenRevoked, UserCreated, UserId,
};
use uuid::Uuid;

use super::{Context, Decision, names};
use crate::{
    Command, NewPerson, Nothing, Refusal, command,
    limits::{EXTRA_BYTES_MAX, REAL_NAME_CHARS_MAX},
};

pub(super) fn create_user(it: &mut Context<'_, '_>, new: &NewPerson) -> Result<Decision, Refusal> {
    if !it.is_admin() {
        return Err(Refusal::NotAllowed);
    }
    if let Some(user) = new.user
        && it.team.person(user).is_some()
    {
        return Ok(Decision::Nothing(Nothing::AlreadyThere(user)));
    }
    names::handle(&new.name)?;
    if it.team.person_named(&new.name).is_some() {
        return Err(Refusal::NameTaken);
    }
    if let Some(address) = &new.email {
        names::email(address)?;
        if it.team.person_by_email(address).is_some() {
            return Err(Refusal::EmailTaken);
        }
    }
    let too_long = |text: &str| text.chars().count() > REAL_NAME_CHARS_MAX;
    if too_long(&new.real_name) || new.tz.as_deref().is_some_and(too_long) {
        return Err(Refusal::TooLong);
    }
    if new.extra.as_ref().is_some_and(|extra| extra.len() > EXTRA_BYTES_MAX) {
        return Err(Refusal::MsgTooLong);
    }
    let user = new.user.unwrap_or_else(|| {
        loop {
            let user = UserId::random('U', (it.now.random)());
            if it.team.is_free_user_id(user) {
                break user;
            }
        }
    });
    let bot = new.bot.or_else(|| new.is_bot.then(|| new_bot_id(it)));
    let real_name = if new.real_name.is_empty() { &new.name } else { &new.real_name };
    let person = Person {
        user,
        name: Text::from(new.name.as_str()),
        real_name: Text::from(real_name.as_str()),
        email: command::text(&new.email),
        is_admin: new.is_admin,
        is_owner: false,
        bot,
        deleted: new.deleted,
        tz: new.tz.clone(),
        extra: command::text(&new.extra),
    };
    // Who is deactivated could not use one.
    let token = (new.with_token && !new.deleted).then(|| token(it, user, bot.is_some()));
    Ok(Decision::Event(Event::from(UserCreated { meta: it.meta(), person, token, credential_id: new.credential_id })))
}

fn new_bot_id(it: &mut Context<'_, '_>) -> BotId {
    loop {
        let bot = BotId::random('B', (it.now.random)());
        if it.team.bot(bot).is_none() && it.team.people().all(|member| member.person.bot != Some(bot)) {
            return bot;
        }
    }
}

fn token(it: &Context<'_, '_>, user: UserId, is_bot: bool) -> Token {
    let kind = Command::token_kind(is_bot);
    let text = it.now.secrets.token_for(it.now.event_id, it.team.id(), kind);
    Token { user, kind, hash: hex::encode(hash(&text)) }
}

pub(super) fn add_bot(it: &Context<'_, '_>, bot: BotId, name: &str, extra: Option<&str>) -> Result<Decision, Refusal> {
    if !it.is_admin() {
        return Err(Refusal::NotAllowed);
    }
    if it.team.bot(bot).is_some() {
        return Ok(Decision::Nothing(Nothing::AlreadyImported));
    }
    if name.chars().count() > REAL_NAME_CHARS_MAX {
        return Err(Refusal::TooLong);
    }
    if extra.is_some_and(|extra| extra.len() > EXTRA_BYTES_MAX) {
        return Err(Refusal::MsgTooLong);
    }
    let extra = extra.map(Text::from);
    Ok(Decision::Event(Event::from(BotAdded { meta: it.meta(), bot, name: Text::from(name), extra })))
}

pub(super) fn issue_token(it: &Context<'_, '_>, user: UserId) -> Result<Decision, Refusal> {
    if !it.is_admin() && it.request.actor != Some(user) {
        return Err(Refusal::NotAllowed);
    }
    let member = it.person(user)?;
    let token = token(it, user, member.person.bot.is_some());
    Ok(Decision::Event(Event::from(TokenIssued { meta: it.meta(), token })))
}

pub(super) fn revoke_token(it: &Context<'_, '_>, hex_hash: &str) -> Result<Decision, Refusal> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex_hash, &mut bytes).map_err(|_| Refusal::TokenNotFound)?;
    let state = it.team.token(&bytes).ok_or(Refusal::TokenNotFound)?;
    if !it.is_admin() && it.request.actor != Some(state.user) {
        return Err(Refusal::NotAllowed);
    }
    if state.revoked {
        return Ok(Decision::Nothing(Nothing::AlreadyRevoked));
    }
    let hash = hex::encode(bytes);
    Ok(Decision::Event(Event::from(TokenRevoked { meta: it.meta(), user: state.user, hash })))
}

pub(super) fn set_password(it: &Context<'_, '_>, user: UserId, credential_id: Uuid) -> Result<Decision, Refusal> {
    if !it.is_admin() && it.request.actor != Some(user) {
        return Err(Refusal::NotAllowed);
    }
    it.person(user)?;
    Ok(Decision::Event(Event::from(PasswordSet { meta: it.meta(), user, credential_id })))
}
