//! Direct messages, of two and of groups.

use teamlog_schemas::{
    ConversationClosed, ConversationCreated, ConversationId, ConversationKind, ConversationOpened, Event, Text, UserId,
};
use teamlog_state::Conversation;

use super::{Context, Decision};
use crate::{Nothing, Refusal, limits::GROUP_OTHERS_MAX};

pub(super) fn open(it: &mut Context<'_, '_>, users: &[UserId]) -> Result<Decision, Refusal> {
    let actor = it.actor()?;
    let mut members = vec![actor];
    for user in users {
        it.team.person(*user).ok_or(Refusal::UserNotFound)?;
        if !members.contains(user) {
            members.push(*user);
        }
    }
    if members.len() > GROUP_OTHERS_MAX + 1 {
        return Err(Refusal::TooManyUsers);
    }
    if let Some(there) = it.team.direct(&members) {
        return opened(it, there, actor);
    }
    // What was said with somebody stays there to be read; nothing new begins with who is gone.
    members.iter().try_for_each(|user| it.person(*user).map(drop))?;
    let kind = if members.len() > 2 { ConversationKind::Mpim } else { ConversationKind::Im };
    let name = (kind == ConversationKind::Mpim).then(|| {
        let names = members.iter().filter_map(|user| it.team.person(*user)).map(|m| m.person.name.as_str().to_owned());
        format!("mpdm-{}-1", names.collect::<Vec<_>>().join("--"))
    });
    let conversation = it.new_conversation_id(kind);
    Ok(Decision::Event(Event::from(ConversationCreated {
        meta: it.meta(),
        conversation,
        kind,
        name,
        creator: Some(actor),
        members,
        created: it.ts(),
        topic: Text::default(),
        purpose: Text::default(),
        is_general: false,
        is_archived: false,
        imported: false,
        extra: None,
    })))
}

pub(super) fn reopen(it: &Context<'_, '_>, conversation: ConversationId) -> Result<Decision, Refusal> {
    let actor = it.actor()?;
    let there = direct(it, conversation)?;
    opened(it, there, actor)
}

fn opened(it: &Context<'_, '_>, there: &Conversation, actor: UserId) -> Result<Decision, Refusal> {
    let conversation = there.conversation;
    if !is_closed(it, there, actor) {
        return Ok(Decision::Nothing(Nothing::AlreadyOpen(conversation)));
    }
    Ok(Decision::Event(Event::from(ConversationOpened { meta: it.meta(), conversation })))
}

pub(super) fn close(it: &Context<'_, '_>, conversation: ConversationId) -> Result<Decision, Refusal> {
    let actor = it.actor()?;
    let there = direct(it, conversation)?;
    if is_closed(it, there, actor) {
        return Ok(Decision::Nothing(Nothing::AlreadyClosed));
    }
    Ok(Decision::Event(Event::from(ConversationClosed { meta: it.meta(), conversation })))
}

fn direct<'a>(it: &Context<'a, '_>, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
    let there = it.visible(conversation)?;
    if there.kind.is_channel() { Err(Refusal::WrongKind) } else { Ok(there) }
}

fn is_closed(it: &Context<'_, '_>, there: &Conversation, actor: UserId) -> bool {
    it.team.person_index(actor).is_some_and(|index| there.closed_for.contains(index))
}
