//! Channels: made, joined, left, named, archived.

use std::collections::HashSet;

use teamlog_schemas::{
    ConversationArchived, ConversationCreated, ConversationId, ConversationKind, ConversationRenamed,
    ConversationUnarchived, Event, Joined, MemberLeft, MembersJoined, PurposeSet, Text, TopicSet, UserId,
};

use super::{Context, Decision, names};
use crate::{
    ImportedConversation, NewConversation, Nothing, Refusal, command,
    limits::{EXTRA_BYTES_MAX, HEADLINE_CHARS_MAX, IMPORTED_MEMBERS_MAX, INVITED_MAX},
};

pub(super) fn create(it: &mut Context<'_, '_>, new: &NewConversation) -> Result<Decision, Refusal> {
    if let Some(id) = new.conversation
        && it.team.conversation(id).is_some()
    {
        return Ok(Decision::Nothing(Nothing::AlreadyImported));
    }
    let is_imported = new.imported.is_some();
    if (is_imported || new.conversation.is_some()) && !it.is_admin() {
        return Err(Refusal::NotAllowed);
    }
    if new.kind.is_channel() {
        let name = new.name.as_deref().ok_or(Refusal::InvalidNameRequired)?;
        // An archive's names are as they are; only that they are unique is needed.
        if !is_imported {
            names::channel_name(name)?;
        }
        if it.team.channel_named(name).is_some() {
            return Err(Refusal::NameTaken);
        }
    } else if !is_imported {
        // There is one a pair: it is opened, and found or made by that.
        return Err(Refusal::WrongKind);
    }
    let members = first_members(it, new)?;
    if !new.kind.is_channel()
        && let Some(there) = it.team.direct(&members)
    {
        return Ok(Decision::Nothing(Nothing::AlreadyOpen(there.conversation)));
    }
    let brought = new.imported.clone().unwrap_or_else(|| ImportedConversation {
        creator: it.request.actor,
        created: it.ts(),
        ..ImportedConversation::default()
    });
    if brought.extra.as_ref().is_some_and(|extra| extra.len() > EXTRA_BYTES_MAX) {
        return Err(Refusal::MsgTooLong);
    }
    let conversation = new.conversation.unwrap_or_else(|| it.new_conversation_id(new.kind));
    Ok(Decision::Event(Event::from(ConversationCreated {
        meta: it.meta(),
        conversation,
        kind: new.kind,
        name: new.name.clone(),
        creator: brought.creator,
        members,
        created: brought.created,
        topic: Text::from(brought.topic.as_str()),
        purpose: Text::from(brought.purpose.as_str()),
        is_general: brought.is_general && it.team.general().is_none(),
        is_archived: brought.is_archived,
        imported: is_imported,
        extra: command::text(&brought.extra),
    })))
}

/// The actor (an archive names its own), then whom the command names, each once.
fn first_members(it: &Context<'_, '_>, new: &NewConversation) -> Result<Vec<UserId>, Refusal> {
    let is_imported = new.imported.is_some();
    let most = if is_imported { IMPORTED_MEMBERS_MAX } else { INVITED_MAX };
    if new.members.len() > most {
        return Err(Refusal::TooManyUsers);
    }
    let mut members: Vec<UserId> = it.request.actor.filter(|_| !is_imported).into_iter().collect();
    let mut seen: HashSet<UserId> = members.iter().copied().collect();
    for user in &new.members {
        if is_imported {
            it.team.person(*user).ok_or(Refusal::UserNotFound)?;
        } else {
            it.person(*user)?;
        }
        if seen.insert(*user) {
            members.push(*user);
        }
    }
    Ok(members)
}

pub(super) fn join(it: &Context<'_, '_>, conversation: ConversationId) -> Result<Decision, Refusal> {
    let (actor, channel) = (it.actor()?, it.channel(conversation)?);
    if it.team.is_member(actor, conversation) {
        return Ok(Decision::Nothing(Nothing::AlreadyIn(conversation)));
    }
    if channel.kind != ConversationKind::PublicChannel {
        return Err(Refusal::ChannelNotFound);
    }
    if channel.is_archived {
        return Err(Refusal::IsArchived);
    }
    let joined = vec![Joined { user: actor, ts: it.ts() }];
    Ok(Decision::Event(Event::from(MembersJoined { meta: it.meta(), conversation, inviter: None, joined })))
}

pub(super) fn invite(
    it: &Context<'_, '_>,
    conversation: ConversationId,
    users: &[UserId],
) -> Result<Decision, Refusal> {
    it.own_channel(conversation)?;
    if users.is_empty() {
        return Err(Refusal::UserNotFound);
    }
    if users.len() > INVITED_MAX {
        return Err(Refusal::TooManyUsers);
    }
    if it.request.actor.is_some_and(|actor| users.contains(&actor)) {
        return Err(Refusal::CantInviteSelf);
    }
    let mut ts = it.ts();
    let (mut joined, mut seen) = (Vec::new(), HashSet::new());
    for user in users {
        it.person(*user)?;
        if !it.team.is_member(*user, conversation) && seen.insert(*user) {
            joined.push(Joined { user: *user, ts });
            ts = ts.next();
        }
    }
    if joined.is_empty() {
        return Err(Refusal::AlreadyInChannel);
    }
    let inviter = it.request.actor;
    Ok(Decision::Event(Event::from(MembersJoined { meta: it.meta(), conversation, inviter, joined })))
}

pub(super) fn leave(it: &Context<'_, '_>, conversation: ConversationId) -> Result<Decision, Refusal> {
    let (actor, channel) = (it.actor()?, it.channel(conversation)?);
    if !it.team.is_member(actor, conversation) {
        return Ok(Decision::Nothing(Nothing::NotIn));
    }
    if channel.is_archived {
        return Err(Refusal::IsArchived);
    }
    if channel.is_general {
        return Err(Refusal::CantLeaveGeneral);
    }
    if channel.kind == ConversationKind::PrivateChannel && channel.members.len() == 1 {
        return Err(Refusal::LastMember);
    }
    let event = MemberLeft { meta: it.meta(), conversation, user: actor, kicked_by: None, ts: it.ts() };
    Ok(Decision::Event(Event::from(event)))
}

pub(super) fn kick(it: &Context<'_, '_>, conversation: ConversationId, user: UserId) -> Result<Decision, Refusal> {
    let channel = it.own_channel(conversation)?;
    if it.request.actor == Some(user) {
        return Err(Refusal::CantKickSelf);
    }
    if channel.is_general {
        return Err(Refusal::CantKickFromGeneral);
    }
    // A private channel is its members' own; a public one is everybody's.
    let is_public = channel.kind == ConversationKind::PublicChannel;
    if is_public && !it.is_admin() && channel.creator != it.request.actor {
        return Err(Refusal::NotAllowed);
    }
    it.team.person(user).ok_or(Refusal::UserNotFound)?;
    if !it.team.is_member(user, conversation) {
        return Err(Refusal::NotInChannel);
    }
    let event = MemberLeft { meta: it.meta(), conversation, user, kicked_by: it.request.actor, ts: it.ts() };
    Ok(Decision::Event(Event::from(event)))
}

pub(super) fn rename(it: &Context<'_, '_>, conversation: ConversationId, name: &str) -> Result<Decision, Refusal> {
    let channel = it.own_channel(conversation)?;
    names::channel_name(name)?;
    if !it.is_admin() && channel.creator != it.request.actor {
        return Err(Refusal::NotAuthorized);
    }
    if it.team.channel_named(name).is_some() {
        return Err(Refusal::NameTaken);
    }
    let old_name = channel.name.clone().unwrap_or_default();
    let (meta, name, ts) = (it.meta(), name.to_owned(), it.ts());
    Ok(Decision::Event(Event::from(ConversationRenamed { meta, conversation, old_name, name, ts })))
}

pub(super) fn set_topic(it: &Context<'_, '_>, conversation: ConversationId, topic: &str) -> Result<Decision, Refusal> {
    it.own_channel(conversation)?;
    let topic = headline(topic)?;
    Ok(Decision::Event(Event::from(TopicSet { meta: it.meta(), conversation, topic, ts: it.ts() })))
}

pub(super) fn set_purpose(
    it: &Context<'_, '_>,
    conversation: ConversationId,
    purpose: &str,
) -> Result<Decision, Refusal> {
    it.own_channel(conversation)?;
    let purpose = headline(purpose)?;
    Ok(Decision::Event(Event::from(PurposeSet { meta: it.meta(), conversation, purpose, ts: it.ts() })))
}

fn headline(text: &str) -> Result<Text, Refusal> {
    if text.chars().count() > HEADLINE_CHARS_MAX { Err(Refusal::TooLong) } else { Ok(Text::from(text)) }
}

pub(super) fn archive(it: &Context<'_, '_>, conversation: ConversationId) -> Result<Decision, Refusal> {
    let channel = it.channel(conversation)?;
    if channel.is_archived {
        return Err(Refusal::AlreadyArchived);
    }
    if channel.is_general {
        return Err(Refusal::CantArchiveGeneral);
    }
    if !it.is_admin() {
        it.must_be_in(channel)?;
    }
    Ok(Decision::Event(Event::from(ConversationArchived { meta: it.meta(), conversation, ts: it.ts() })))
}

pub(super) fn unarchive(it: &Context<'_, '_>, conversation: ConversationId) -> Result<Decision, Refusal> {
    let channel = it.channel(conversation)?;
    if !channel.is_archived {
        return Err(Refusal::NotArchived);
    }
    Ok(Decision::Event(Event::from(ConversationUnarchived { meta: it.meta(), conversation, ts: it.ts() })))
}
