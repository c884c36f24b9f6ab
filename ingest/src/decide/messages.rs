//! Messages and what hangs on them.

use teamlog_schemas::{
    ConversationId, Edited, Event, Message, MessageDeleted, MessageEdited, MessageImported, MessagePosted,
    ReactionAdded, ReactionRemoved, Text, Thread, Ts, UserId, is_system,
};
use teamlog_state::{Conversation, MessageFact, thread_of, thread_with};

use super::{
    Context, Decision,
    attachments::Attachments,
    calls::Calls,
    names,
    parts::{Parts, fits},
};
use crate::{
    Edit, ImportedMessage, Nothing, Post, Refusal, Unfurl, command,
    limits::{EMOJI_A_MESSAGE_MAX, REACTIONS_BYTES_MAX},
    links::links,
};

pub(super) fn post(it: &Context<'_, '_>, post: &Post) -> Result<Decision, Refusal> {
    let actor = it.actor()?;
    let conversation = it.visible(post.conversation.ok_or(Refusal::ChannelNotFound)?)?;
    it.must_be_in(conversation)?;
    if conversation.is_archived {
        return Err(Refusal::IsArchived);
    }
    let parts = Parts::of(&post.text, post.blocks.as_deref(), post.attachments.as_deref())?;
    // Above an import's too: with its conversation it names the message for good.
    let ts = it.ts().max(conversation.latest.next());
    let bot = it.team.person(actor).and_then(|member| member.person.bot);
    // A bot may say who speaks through it; a person is who they are.
    let dressed = |dress: &Option<String>| command::text(dress).filter(|_| bot.is_some());
    let message = Message {
        ts,
        user: Some(actor),
        bot,
        subtype: post.subtype.as_ref().map(ToString::to_string),
        text: Text::from(post.text.as_str()),
        blocks: parts.blocks,
        attachments: parts.attachments,
        thread_ts: post.thread_ts,
        reply_broadcast: post.reply_broadcast && post.thread_ts.is_some(),
        edited: None,
        username: dressed(&post.username),
        icons: dressed(&post.icons),
        client_msg_id: post.client_msg_id.clone(),
        extra: None,
    };
    fits(&message)?;
    let thread = match post.thread_ts {
        None => None,
        Some(root) => {
            let fact = it.facts.message(conversation.conversation, root).ok_or(Refusal::ThreadNotFound)?;
            if fact.message.is_reply() {
                return Err(Refusal::ThreadNotFound);
            }
            Some(thread_with(fact, ts, Some(actor)))
        }
    };
    let calls = Calls::of(&post.text, &parts.read);
    let opens_for = conversation.closed_for.iter().filter_map(|index| it.team.person_at(index));
    Ok(Decision::Event(Event::from(MessagePosted {
        meta: it.meta(),
        conversation: conversation.conversation,
        mentions: calls.mentions(it, conversation),
        broadcast: calls.broadcast(conversation),
        opens_for: opens_for.map(|member| member.person.user).collect(),
        message,
        thread,
        unfurl: post.unfurl,
    })))
}

pub(super) fn import(it: &Context<'_, '_>, import: &ImportedMessage) -> Result<Decision, Refusal> {
    if !it.is_admin() {
        return Err(Refusal::NotAllowed);
    }
    let conversation = it.team.conversation(import.conversation).ok_or(Refusal::ChannelNotFound)?;
    let ts = import.message.ts;
    if it.facts.message(import.conversation, ts).is_some() {
        return Ok(Decision::Nothing(Nothing::AlreadyImported));
    }
    // Nor newer than what could be posted now, or a post to come might bear the same name.
    if ts >= conversation.first_posted || ts >= it.ts() {
        return Err(Refusal::ImportTooNew);
    }
    fits(&import.message)?;
    let reactions: usize =
        import.reactions.iter().map(|reaction| reaction.name.len() + reaction.users.len() * 13).sum();
    if reactions > REACTIONS_BYTES_MAX {
        return Err(Refusal::MsgTooLong);
    }
    Ok(Decision::Event(Event::from(MessageImported {
        meta: it.meta(),
        conversation: import.conversation,
        message: import.message.clone(),
        reactions: import.reactions.clone(),
    })))
}

pub(super) fn edit(it: &Context<'_, '_>, edit: &Edit) -> Result<Decision, Refusal> {
    let actor = it.actor()?;
    let (conversation, fact) = found(it, edit.conversation, edit.ts)?;
    if conversation.is_archived {
        return Err(Refusal::IsArchived);
    }
    let before = &fact.message;
    if before.user != Some(actor) || is_system(before.subtype.as_deref()) {
        return Err(Refusal::CantUpdateMessage);
    }
    if let Some(expected) = edit.expected_edited_ts
        && before.edited.map_or(Ts::ZERO, |edited| edited.ts) != expected
    {
        return Err(Refusal::EditConflict);
    }
    let text = edit.text.clone().unwrap_or_else(|| before.text.plain.clone());
    let new_or =
        |new: &Option<String>, old: &Option<Text>| new.clone().or_else(|| old.as_ref().map(|text| text.plain.clone()));
    let blocks = new_or(&edit.blocks, &before.blocks);
    let attachments = edit.attachments.clone().or_else(|| kept(before, &text));
    let parts = Parts::of(&text, blocks.as_deref(), attachments.as_deref())?;
    let after = Message {
        text: Text::from(text),
        blocks: parts.blocks,
        attachments: parts.attachments,
        edited: Some(Edited { user: actor, ts: it.ts() }),
        ..before.clone()
    };
    fits(&after)?;
    let (meta, before) = (it.meta(), before.clone());
    Ok(Decision::Event(Event::from(MessageEdited { meta, conversation: edit.conversation, before, after })))
}

/// The attachments of a message as an edit of its text leaves them: what is shown of a link goes with the link.
fn kept(before: &Message, text: &str) -> Option<String> {
    let mut attachments = Attachments::of(before.attachments.as_ref());
    match attachments.follow_text(before.text.as_str(), text) {
        true => Some(attachments.to_json().unwrap_or_else(|| "[]".to_owned())),
        false => before.attachments.as_ref().map(|attachments| attachments.plain.clone()),
    }
}

pub(super) fn unfurl(it: &Context<'_, '_>, unfurl: &Unfurl) -> Result<Decision, Refusal> {
    if it.request.actor.is_some() {
        return Err(Refusal::NotAllowed);
    }
    let attachment = serde_json::from_str(&unfurl.attachment).map_err(|_| Refusal::InvalidAttachments)?;
    let nothing = Ok(Decision::Nothing(Nothing::NotShown));
    let Ok((conversation, fact)) = found(it, unfurl.conversation, unfurl.ts) else { return nothing };
    let before = &fact.message;
    let text = before.text.as_str();
    let mut attachments = Attachments::of(before.attachments.as_ref());
    let is_there = links(text).any(|link| link.original == unfurl.link);
    if conversation.is_archived || !is_there || attachments.show(&unfurl.link) {
        return nothing;
    }
    attachments.add(attachment, text);
    changed(it, unfurl.conversation, before, &attachments).or(nothing)
}

pub(super) fn remove_attachment(
    it: &Context<'_, '_>,
    conversation: ConversationId,
    ts: Ts,
    number: u64,
) -> Result<Decision, Refusal> {
    let (there, fact) = found(it, conversation, ts)?;
    if there.is_archived {
        return Err(Refusal::IsArchived);
    }
    let before = &fact.message;
    if !it.is_admin() && before.user != it.request.actor {
        return Err(Refusal::CantUpdateMessage);
    }
    let mut attachments = Attachments::of(before.attachments.as_ref());
    if !attachments.remove(number) {
        return Err(Refusal::AttachmentNotFound);
    }
    changed(it, conversation, before, &attachments)
}

fn changed(
    it: &Context<'_, '_>,
    conversation: ConversationId,
    before: &Message,
    attachments: &Attachments,
) -> Result<Decision, Refusal> {
    let blocks = before.blocks.as_ref().map(Text::as_str);
    let parts = Parts::of(before.text.as_str(), blocks, attachments.to_json().as_deref())?;
    let after = Message { attachments: parts.attachments, ..before.clone() };
    fits(&after)?;
    Ok(Decision::Event(Event::from(MessageEdited { meta: it.meta(), conversation, before: before.clone(), after })))
}

pub(super) fn delete(it: &Context<'_, '_>, conversation: ConversationId, ts: Ts) -> Result<Decision, Refusal> {
    let (_, fact) = found(it, conversation, ts)?;
    let before = fact.message.clone();
    if !it.is_admin() && before.user != it.request.actor {
        return Err(Refusal::CantDeleteMessage);
    }
    let root = before.thread_ts.filter(|_| before.is_reply());
    let thread = root.and_then(|root| shrunk(it, conversation, root, ts));
    let tombstone = fact.thread.as_ref().is_some_and(|thread| thread.reply_count > 0);
    Ok(Decision::Event(Event::from(MessageDeleted { meta: it.meta(), conversation, before, tombstone, thread })))
}

/// A thread without one of its replies.
fn shrunk(it: &Context<'_, '_>, conversation: ConversationId, root: Ts, reply: Ts) -> Option<Thread> {
    let replies = it.facts.replies.get(&(conversation, root))?;
    let left: Vec<_> = replies.iter().filter(|(ts, _)| *ts != reply).copied().collect();
    let root_author = it.facts.message(conversation, root).and_then(|fact| fact.message.user);
    Some(thread_of(root, root_author, &left))
}

pub(super) fn react(
    it: &Context<'_, '_>,
    conversation: ConversationId,
    ts: Ts,
    name: &str,
) -> Result<Decision, Refusal> {
    let (actor, fact) = reactable(it, conversation, ts, name)?;
    match fact.reactions.iter().find(|reaction| reaction.name == name) {
        Some(reaction) if reaction.users.contains(&actor) => return Err(Refusal::AlreadyReacted),
        None if fact.reactions.len() >= EMOJI_A_MESSAGE_MAX => return Err(Refusal::TooManyEmoji),
        _ => {}
    }
    let (meta, item_author) = (it.meta(), fact.message.user);
    Ok(Decision::Event(Event::from(ReactionAdded { meta, conversation, ts, name: name.to_owned(), item_author })))
}

pub(super) fn unreact(
    it: &Context<'_, '_>,
    conversation: ConversationId,
    ts: Ts,
    name: &str,
) -> Result<Decision, Refusal> {
    let (actor, fact) = reactable(it, conversation, ts, name)?;
    let reacted = fact.reactions.iter().any(|reaction| reaction.name == name && reaction.users.contains(&actor));
    if !reacted {
        return Err(Refusal::NoReaction);
    }
    let (meta, item_author) = (it.meta(), fact.message.user);
    Ok(Decision::Event(Event::from(ReactionRemoved { meta, conversation, ts, name: name.to_owned(), item_author })))
}

/// Who asks, and a message on which they may change their reactions.
fn reactable<'a>(
    it: &Context<'a, '_>,
    conversation: ConversationId,
    ts: Ts,
    name: &str,
) -> Result<(UserId, &'a MessageFact), Refusal> {
    let actor = it.actor()?;
    names::emoji(name)?;
    let (there, fact) = found(it, conversation, ts)?;
    if there.is_archived { Err(Refusal::IsArchived) } else { Ok((actor, fact)) }
}

/// A message that who asks may read and that is not deleted.
fn found<'a>(
    it: &Context<'a, '_>,
    conversation: ConversationId,
    ts: Ts,
) -> Result<(&'a Conversation, &'a MessageFact), Refusal> {
    let conversation = it.visible(conversation)?;
    let fact = it.facts.message(conversation.conversation, ts).filter(|fact| !fact.tombstone);
    Ok((conversation, fact.ok_or(Refusal::MessageNotFound)?))
}
