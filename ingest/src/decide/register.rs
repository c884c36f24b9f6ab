//! The two steps in which a team is made.

use std::collections::HashSet;

use teamlog_cluster::token_hash as hash;
use teamlog_schemas::{
    ConversationId, Event, FirstChannel, Meta, Person, TeamCreated, TeamId, TeamRegistered, Text, Token, TokenKind, Ts,
    UserId, key_of_registration, partition_of,
};
use uuid::Uuid;

use super::{names, now::Now};
use crate::{NewTeam, Refusal, beginnings::text, limits};

/// The first step: a domain gets its team.
///
/// # Errors
/// If the domain is taken or none, or the owner's data does not fit.
pub fn decide_team(
    new: &NewTeam,
    taken: impl Fn(&str) -> bool,
    team_exists: impl Fn(TeamId) -> bool,
    partitions: u32,
    shard_of: impl Fn(u32) -> String,
    now: Now<'_>,
) -> Result<Event, Refusal> {
    let domain = &new.domain;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=limits::DOMAIN_CHARS_MAX).contains(&domain.len());
    if !fits || !domain.chars().all(inner) || domain.starts_with('-') || domain.ends_with('-') {
        return Err(Refusal::InvalidDomain);
    }
    if taken(domain) {
        return Err(Refusal::DomainTaken);
    }
    names::handle(&new.owner.name)?;
    if let Some(address) = &new.owner.email {
        names::email(address)?;
    }
    let too_long = |words: &str| words.chars().count() > limits::REAL_NAME_CHARS_MAX;
    if too_long(&new.name) || too_long(&new.owner.real_name) || new.owner.tz.as_deref().is_some_and(too_long) {
        return Err(Refusal::TooLong);
    }
    if new.owner.extra.as_ref().is_some_and(|extra| extra.len() > limits::EXTRA_BYTES_MAX) {
        return Err(Refusal::MsgTooLong);
    }
    let Now { at, event_id, random, secrets } = now;
    let team = match new.team {
        Some(team) if team_exists(team) => return Err(Refusal::DomainTaken),
        Some(team) => team,
        None => loop {
            let team = TeamId::random('T', random());
            if !team_exists(team) {
                break team;
            }
        },
    };
    let user = new.owner.user.unwrap_or_else(|| UserId::random('U', random()));
    let channels = new.channels.clone().unwrap_or_else(|| first_channels(random));
    if channels.len() > limits::FIRST_CHANNELS_MAX {
        return Err(Refusal::MsgTooLong);
    }
    let mut names = HashSet::new();
    if !channels.iter().all(|channel| names.insert(&channel.name)) {
        return Err(Refusal::NameTaken);
    }
    let partition = partition_of(team, partitions);
    let token = new.owner.with_token.then(|| Token {
        user,
        kind: TokenKind::User,
        hash: hex::encode(hash(&secrets.token_for(event_id, team, TokenKind::User))),
    });
    let real_name = if new.owner.real_name.is_empty() { &new.owner.name } else { &new.owner.real_name };
    Ok(Event::from(TeamRegistered {
        meta: Meta {
            event_id,
            team,
            actor: None,
            at,
            key: new.key.clone(),
            method: new.key.as_ref().map(|_| "teamlog.teams.create".to_owned()),
        },
        domain: domain.clone(),
        name: if new.name.is_empty() { domain.clone() } else { new.name.clone() },
        partition: i32::try_from(partition).unwrap_or(i32::MAX),
        shard: shard_of(partition),
        owner: Person {
            user,
            name: Text::from(new.owner.name.as_str()),
            real_name: Text::from(real_name.as_str()),
            email: text(&new.owner.email),
            is_admin: true,
            is_owner: true,
            bot: None,
            deleted: false,
            tz: new.owner.tz.clone(),
            extra: text(&new.owner.extra),
        },
        channels,
        token,
        credential_id: new.owner.credential_id,
    }))
}

fn first_channels(random: &mut dyn FnMut() -> u64) -> Vec<FirstChannel> {
    let mut channel = |name: &str, is_general, purpose: &str| FirstChannel {
        conversation: ConversationId::random('C', random()),
        name: name.to_owned(),
        is_general,
        purpose: Text::from(purpose),
    };
    vec![
        channel("general", true, "This channel is for team-wide communication and announcements."),
        channel("random", false, "A place for everything that fits nowhere else."),
    ]
}

/// Returns the beginning of a registered team: a pure function of the registration, so that all nodes decide
/// it equally.
pub fn team_begun(registered: &TeamRegistered, event_id: Uuid, at: Ts) -> TeamCreated {
    let meta = &registered.meta;
    TeamCreated {
        meta: Meta {
            event_id,
            team: meta.team,
            actor: Some(registered.owner.user),
            at: at.max(meta.at),
            key: Some(key_of_registration(meta.event_id)),
            method: Some("teamlog.teams.begin".to_owned()),
        },
        domain: registered.domain.clone(),
        name: registered.name.clone(),
        shard: registered.shard.clone(),
        owner: registered.owner.clone(),
        channels: registered.channels.clone(),
        token: registered.token.clone(),
        credential_id: registered.credential_id,
    }
}
