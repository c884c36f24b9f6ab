//! Rules for what an event adds to a team: people, bots, conversations, and direct messages closed or opened.
//!
//! [`Team::apply`](crate::Team::apply) and the shard's tables both call these, so a team that is folded in memory and one
//! that is read from rows are equal.

use teamlog_schemas::{ConversationId, Event, Person, Ts, UserId};

use crate::{Bot, ConversationRow};

/// Returns the person whom an event adds, and when they came. A person who is known already stays as they are.
pub fn newcomer(event: &Event) -> Option<(&Person, Ts)> {
    if let Event::TeamCreated(e) = event {
        Some((&e.owner, e.meta.at))
    } else if let Event::UserCreated(e) = event {
        Some((&e.person, e.meta.at))
    } else {
        None
    }
}

/// Returns the bot without a user of its own that an event adds.
pub fn new_bot(event: &Event) -> Option<Bot> {
    let Event::BotAdded(e) = event else { return None };
    Some(Bot { bot: e.bot, name: e.name.clone(), extra: e.extra.clone() })
}

/// Returns the conversations that an event begins, in order. One that is known already stays as it is.
pub fn begun_conversations(event: &Event) -> Vec<ConversationRow> {
    if let Event::TeamCreated(e) = event {
        e.channels.iter().map(|first| ConversationRow::first(first, e.owner.user, e.meta.at)).collect()
    } else if let Event::ConversationCreated(e) = event {
        vec![ConversationRow::created(e)]
    } else {
        Vec::new()
    }
}

/// Returns for whom an event closes (true) or opens (false) a direct message. A new one is shown to whoever opened it, and
/// to the others from its first message on.
pub fn closings(event: &Event) -> Vec<(ConversationId, UserId, bool)> {
    let by_actor = |conversation, is_closed| {
        let actor = event.meta().and_then(|meta| meta.actor);
        actor.map(|user| (conversation, user, is_closed)).into_iter().collect()
    };
    if let Event::ConversationOpened(e) = event {
        by_actor(e.conversation, false)
    } else if let Event::ConversationClosed(e) = event {
        by_actor(e.conversation, true)
    } else if let Event::MessagePosted(e) = event {
        e.opens_for.iter().map(|user| (e.conversation, *user, false)).collect()
    } else if let Event::ConversationCreated(e) = event
        && !e.kind.is_channel()
    {
        let others = e.members.iter().filter(|user| Some(**user) != e.meta.actor);
        others.map(|user| (e.conversation, *user, !e.imported)).collect()
    } else {
        Vec::new()
    }
}
