//! A person or a bot's user comes.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{BotId, Person, Text, UserCreated, UserId};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{
    NewPerson, Nothing, Refusal,
    beginnings::text,
    decide::{Context, names},
    limits::{EXTRA_BYTES_MAX, REAL_NAME_CHARS_MAX},
};

/// Adds a person or a bot's user. For admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateUser(pub NewPerson);

impl Act for CreateUser {
    type Made = UserCreated;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<UserCreated, NoEvent> {
        let CreateUser(new) = self;
        if !it.is_admin() {
            return Err(Refusal::NotAllowed.into());
        }
        if let Some(user) = new.user
            && it.team.person(user).is_some()
        {
            return Err(Nothing::AlreadyThere(user).into());
        }
        names::handle(&new.name)?;
        if it.team.person_named(&new.name).is_some() {
            return Err(Refusal::NameTaken.into());
        }
        if let Some(address) = &new.email {
            names::email(address)?;
            if it.team.person_by_email(address).is_some() {
                return Err(Refusal::EmailTaken.into());
            }
        }
        let too_long = |text: &str| text.chars().count() > REAL_NAME_CHARS_MAX;
        if too_long(&new.real_name) || new.tz.as_deref().is_some_and(too_long) {
            return Err(Refusal::TooLong.into());
        }
        if new.extra.as_ref().is_some_and(|extra| extra.len() > EXTRA_BYTES_MAX) {
            return Err(Refusal::MsgTooLong.into());
        }
        let user = new.user.unwrap_or_else(|| new_user_id(it));
        let bot = new.bot.or_else(|| new.is_bot.then(|| new_bot_id(it)));
        let real_name = if new.real_name.is_empty() { &new.name } else { &new.real_name };
        let person = Person {
            user,
            name: Text::from(new.name.as_str()),
            real_name: Text::from(real_name.as_str()),
            email: text(&new.email),
            is_admin: new.is_admin,
            is_owner: false,
            bot,
            deleted: new.deleted,
            tz: new.tz.clone(),
            extra: text(&new.extra),
        };
        // A deactivated person could not use a token.
        let token = (new.with_token && !new.deleted).then(|| it.token_for(user, bot.is_some()));
        Ok(UserCreated { meta: it.meta(), person, token, credential_id: new.credential_id })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let imported = NewPerson {
            user: Some(format!("U0IMP{}", scene.number % 5).parse().expect("an id")),
            name: scene.name("imported"),
            real_name: "Ada \u{1f600}".to_owned(),
            email: Some(format!("{}@example.com", scene.name("i"))),
            is_bot: true,
            bot: Some(format!("B0IMP{}", scene.number % 5).parse().expect("an id")),
            is_admin: true,
            deleted: true,
            tz: Some("Europe/London".to_owned()),
            extra: Some("{}".to_owned()),
            credential_id: Some(uuid::Uuid::from_u128(4)),
            with_token: true,
        };
        let is_bot = scene.number.is_multiple_of(3);
        let new = NewPerson { name: scene.name("p"), is_bot, with_token: true, ..NewPerson::default() };
        vec![CreateUser(imported), CreateUser(new)]
    }
}

fn new_user_id(it: &mut Context<'_, '_>) -> UserId {
    loop {
        let user = UserId::random('U', (it.now.random)());
        if it.team.is_free_user_id(user) {
            return user;
        }
    }
}

fn new_bot_id(it: &mut Context<'_, '_>) -> BotId {
    loop {
        let bot = BotId::random('B', (it.now.random)());
        if it.team.bot(bot).is_none() && it.team.people().all(|member| member.person.bot != Some(bot)) {
            return bot;
        }
    }
}
