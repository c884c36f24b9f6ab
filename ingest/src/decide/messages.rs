//! Messages and what hangs on them.

use serde_json::Value;
use teamlog_schemas::{
    Broadcast, ConversationId, Edited, Event, Message, MessageDeleted, MessageEdited, MessageImported, MessagePosted,
    ReactionAdded, ReactionRemoved, Text, Thread, Ts, UserId, is_system,
};
use teamlog_state::{Conversation, MessageFact};

use super::{Context, Decision, names};
use crate::{
    Edit, ImportedMessage, Nothing, Post, Refusal, command,
    limits::{
        ATTACHMENTS_MAX, BLOCKS_MAX, EMOJI_A_MESSAGE_MAX, MESSAGE_BYTES_MAX, REACTIONS_BYTES_MAX, REPLY_USERS_MAX,
        TEXT_CHARS_MAX,
    },
};

pub(super) fn post(it: &Context<'_, '_>, post: &Post) -> Result<Decision, Refusal> {
    let actor = it.actor()?;
    let conversation = it.visible(post.conversation.ok_or(Refusal::ChannelNotFound)?)?;
    it.must_be_in(conversation)?;
    if conversation.is_archived {
        return Err(Refusal::IsArchived);
    }
    check_parts(&post.text, post.blocks.as_deref(), post.attachments.as_deref())?;
    if post.text.is_empty() && is_empty(post.blocks.as_deref()) && is_empty(post.attachments.as_deref()) {
        return Err(Refusal::NoText);
    }
    let ts = it.ts();
    let person = it.team.person(actor).map(|member| &member.person);
    let bot = person.and_then(|person| person.bot);
    let message = Message {
        ts,
        user: Some(actor),
        bot,
        subtype: post.subtype.map(str::to_owned),
        text: Text::from(post.text.as_str()),
        blocks: command::text(&post.blocks),
        attachments: command::text(&post.attachments),
        thread_ts: post.thread_ts,
        reply_broadcast: post.reply_broadcast && post.thread_ts.is_some(),
        edited: None,
        username: command::text(&post.username),
        icons: command::text(&post.icons),
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
            Some(grown(fact, root, actor, ts))
        }
    };
    let opens_for = conversation.closed_for.iter().filter_map(|index| it.team.person_at(index));
    Ok(Decision::Event(Event::from(MessagePosted {
        meta: it.meta(),
        conversation: conversation.conversation,
        mentions: mentions(it, conversation, &post.text),
        broadcast: broadcast(&post.text),
        opens_for: opens_for.map(|member| member.person.user).collect(),
        message,
        thread,
    })))
}

/// A thread with one more reply.
fn grown(root: &MessageFact, ts_of_root: Ts, author: UserId, reply: Ts) -> Thread {
    let before = root.thread.as_ref();
    let mut reply_users = before.map(|thread| thread.reply_users.clone()).unwrap_or_default();
    if reply_users.len() < REPLY_USERS_MAX && !reply_users.contains(&author) {
        reply_users.push(author);
    }
    Thread {
        root: ts_of_root,
        root_author: root.message.user,
        reply_count: before.map_or(0, |thread| thread.reply_count) + 1,
        latest_reply: Some(reply),
        reply_users,
    }
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
    if ts >= conversation.first_posted {
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
    let new_or = |new: &Option<String>, old: &Option<Text>| command::text(new).or_else(|| old.clone());
    let after = Message {
        text: Text::from(text.as_str()),
        blocks: new_or(&edit.blocks, &before.blocks),
        attachments: new_or(&edit.attachments, &before.attachments),
        edited: Some(Edited { user: actor, ts: it.ts() }),
        ..before.clone()
    };
    let plain = |part: &Option<Text>| part.as_ref().map(|text| text.plain.clone());
    let (blocks, attachments) = (plain(&after.blocks), plain(&after.attachments));
    check_parts(&text, blocks.as_deref(), attachments.as_deref())?;
    if text.is_empty() && is_empty(blocks.as_deref()) && is_empty(attachments.as_deref()) {
        return Err(Refusal::NoText);
    }
    fits(&after)?;
    let (meta, before) = (it.meta(), before.clone());
    Ok(Decision::Event(Event::from(MessageEdited { meta, conversation: edit.conversation, before, after })))
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
    let mut reply_users: Vec<UserId> = Vec::new();
    let left: Vec<_> = replies.iter().filter(|(ts, _)| *ts != reply).collect();
    for user in left.iter().filter_map(|(_, user)| *user) {
        if reply_users.len() < REPLY_USERS_MAX && !reply_users.contains(&user) {
            reply_users.push(user);
        }
    }
    Some(Thread {
        root,
        root_author: it.facts.message(conversation, root).and_then(|fact| fact.message.user),
        reply_count: i32::try_from(left.len()).unwrap_or(i32::MAX),
        latest_reply: left.last().map(|(ts, _)| *ts),
        reply_users,
    })
}

pub(super) fn react(
    it: &Context<'_, '_>,
    conversation: ConversationId,
    ts: Ts,
    name: &str,
) -> Result<Decision, Refusal> {
    let actor = it.actor()?;
    names::emoji(name)?;
    let (_, fact) = found(it, conversation, ts)?;
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
    let actor = it.actor()?;
    names::emoji(name)?;
    let (_, fact) = found(it, conversation, ts)?;
    let reacted = fact.reactions.iter().any(|reaction| reaction.name == name && reaction.users.contains(&actor));
    if !reacted {
        return Err(Refusal::NoReaction);
    }
    let (meta, item_author) = (it.meta(), fact.message.user);
    Ok(Decision::Event(Event::from(ReactionRemoved { meta, conversation, ts, name: name.to_owned(), item_author })))
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

fn check_parts(text: &str, blocks: Option<&str>, attachments: Option<&str>) -> Result<(), Refusal> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::MsgTooLong);
    }
    if objects(blocks, Refusal::InvalidBlocks)? > BLOCKS_MAX {
        return Err(Refusal::InvalidBlocks);
    }
    if objects(attachments, Refusal::InvalidAttachments)? > ATTACHMENTS_MAX {
        return Err(Refusal::TooManyAttachments);
    }
    Ok(())
}

/// How many objects a JSON array has.
fn objects(json: Option<&str>, refusal: Refusal) -> Result<usize, Refusal> {
    let Some(json) = json else { return Ok(0) };
    match serde_json::from_str(json) {
        Ok(Value::Array(all)) if all.iter().all(Value::is_object) => Ok(all.len()),
        _ => Err(refusal),
    }
}

fn is_empty(json: Option<&str>) -> bool {
    objects(json, Refusal::NoText).unwrap_or(0) == 0
}

fn fits(message: &Message) -> Result<(), Refusal> {
    let text = |part: &Option<Text>| part.as_ref().map_or(0, |text| text.plain.len());
    let parts = [&message.blocks, &message.attachments, &message.username, &message.icons, &message.extra];
    let bytes = message.text.plain.len() + parts.into_iter().map(text).sum::<usize>();
    if bytes > MESSAGE_BYTES_MAX { Err(Refusal::MsgTooLong) } else { Ok(()) }
}

/// The people whom a text names (`<@U...>` or `<@U...|name>`) and who may read it, each once.
fn mentions(it: &Context<'_, '_>, conversation: &Conversation, text: &str) -> Vec<UserId> {
    let mut named = Vec::new();
    for part in text.split("<@").skip(1) {
        let id = part.split(['>', '|']).next().unwrap_or_default();
        if let Ok(user) = id.parse::<UserId>()
            && it.team.may_read(user, conversation.conversation)
            && it.team.person(user).is_some()
            && !named.contains(&user)
        {
            named.push(user);
        }
    }
    named
}

/// The widest call in a text (`<!everyone>`, `<!channel>`, `<!here>`, each perhaps with `|label`).
fn broadcast(text: &str) -> Option<Broadcast> {
    let called = |word: &str| text.contains(&format!("<!{word}>")) || text.contains(&format!("<!{word}|"));
    if called("everyone") {
        Some(Broadcast::Everyone)
    } else if called("channel") {
        Some(Broadcast::Channel)
    } else if called("here") {
        Some(Broadcast::Here)
    } else {
        None
    }
}
