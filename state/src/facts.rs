//! `Facts`: what `decide` needs and [`Team`](crate::Team) does not hold, read from rows and brought up to date by the
//! same events as the team.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use teamlog_schemas::{Changed, ConversationId, Deletion, Event, MessageChange, Reaction, ScheduleId, Ts, UserId};

use crate::{
    MessageFact, ReplyHead, Scheduled, WriteKey, schedule_window, scheduled_by, thread_left, thread_with,
    unscheduled_by,
};

/// The facts that a command needs, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactsWanted {
    /// Messages by name, with their reactions and, of a root, its thread.
    pub messages: Vec<(ConversationId, Ts)>,
    /// Threads of which every reply's `ts` and author is wanted (to delete one of them), by root.
    pub replies: Vec<(ConversationId, Ts)>,
    /// Scheduled messages by id.
    pub scheduled: Vec<ScheduleId>,
    /// Windows of time, each of a conversation and by its beginning, of which the ids of the scheduled messages are wanted.
    pub windows: Vec<(ConversationId, Ts)>,
    /// The event of a keyed write.
    pub key: Option<WriteKey>,
}

impl FactsWanted {
    /// Whether nothing is wanted: then no rows are read.
    pub fn is_empty(&self) -> bool {
        let FactsWanted { messages, replies, scheduled, windows, key } = self;
        messages.is_empty() && replies.is_empty() && scheduled.is_empty() && windows.is_empty() && key.is_none()
    }
}

/// The answer to [`FactsWanted`], as of some position.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Every wanted message; none if there is no such message.
    pub messages: HashMap<(ConversationId, Ts), Option<MessageFact>>,
    /// Every wanted thread's replies, oldest first.
    pub replies: HashMap<(ConversationId, Ts), Vec<ReplyHead>>,
    /// Every wanted scheduled message; none if there is no such one, or not any more.
    pub scheduled: HashMap<ScheduleId, Option<Scheduled>>,
    /// The scheduled messages of every wanted window.
    pub windows: HashMap<(ConversationId, Ts), BTreeSet<ScheduleId>>,
    /// The wanted key's event, if that write has counted.
    pub write: Option<Arc<Event>>,
    /// The wanted key, so that later events can be told to be its.
    pub key: Option<WriteKey>,
}

impl Facts {
    /// The answer where there are no rows.
    pub fn of_no_rows(wanted: &FactsWanted) -> Facts {
        Facts {
            messages: wanted.messages.iter().map(|name| (*name, None)).collect(),
            replies: wanted.replies.iter().map(|name| (*name, Vec::new())).collect(),
            scheduled: wanted.scheduled.iter().map(|id| (*id, None)).collect(),
            windows: wanted.windows.iter().map(|window| (*window, BTreeSet::new())).collect(),
            write: None,
            key: wanted.key.clone(),
        }
    }

    /// The message of this name, if it is there; a deleted root with replies is, as a tombstone.
    pub fn message(&self, conversation: ConversationId, ts: Ts) -> Option<&MessageFact> {
        self.messages.get(&(conversation, ts))?.as_ref()
    }

    /// Applies an event of the team. The events must be all those at or after the position that the facts were read at.
    pub fn apply(&mut self, event: &Arc<Event>) {
        if self.key.is_some() && self.write.is_none() && WriteKey::of(event) == self.key {
            self.write = Some(event.clone());
        }
        if let Some(change) = event.change() {
            self.on_change(change);
        }
        self.on_messages(event);
        self.on_scheduled(event);
    }

    fn on_scheduled(&mut self, event: &Event) {
        if let Some((id, scheduled)) = scheduled_by(event) {
            let window = (scheduled.conversation, schedule_window(scheduled.due));
            if let Some(ids) = self.windows.get_mut(&window) {
                ids.insert(id);
            }
            if let Some(slot) = self.scheduled.get_mut(&id) {
                *slot = Some(scheduled);
            }
        } else if let Some(id) = unscheduled_by(event) {
            for ids in self.windows.values_mut() {
                ids.remove(&id);
            }
            if let Some(slot) = self.scheduled.get_mut(&id) {
                *slot = None;
            }
        }
    }

    fn on_change(&mut self, MessageChange { conversation, ts, what }: MessageChange<'_>) {
        let fact = self.messages.get_mut(&(conversation, ts)).and_then(Option::as_mut);
        match (what, fact) {
            (Changed::Deleted(deletion), _) => self.on_deleted(conversation, deletion),
            (Changed::Edited(after), Some(fact)) => fact.message = after.clone(),
            (Changed::Reacted { name, user, added }, Some(fact)) => {
                fact.reactions.set_reaction(name, user, added);
            }
            (Changed::Edited(_) | Changed::Reacted { .. }, None) => {}
        }
    }

    fn on_messages(&mut self, event: &Event) {
        if self.messages.is_empty() && self.replies.is_empty() {
            return;
        }
        for (conversation, message) in event.messages() {
            if message.is_reply()
                && let Some(root) = message.thread_ts
            {
                if let Some(replies) = self.replies.get_mut(&(conversation, root)) {
                    // An imported reply may be older than those that are there.
                    let at = replies.partition_point(|(reply, _)| *reply < message.ts);
                    replies.insert(at, (message.ts, message.user));
                }
                if let Some(Some(fact)) = self.messages.get_mut(&(conversation, root)) {
                    if let Event::MessagePosted(e) = event {
                        fact.thread.clone_from(&e.thread);
                    } else {
                        // An imported reply brings no thread with it, so it is counted here.
                        fact.thread = Some(thread_with(fact, message.ts, message.user));
                    }
                }
            }
            if let Some(slot) = self.messages.get_mut(&(conversation, message.ts)) {
                let reactions = if let Event::MessageImported(e) = event { e.reactions.clone() } else { Vec::new() };
                *slot = Some(MessageFact { message, reactions, thread: None, tombstone: false });
            }
        }
    }

    fn on_deleted(&mut self, conversation: ConversationId, deletion: Deletion<'_>) {
        let ts = deletion.before.ts;
        if let Some(slot) = self.messages.get_mut(&(conversation, ts)) {
            match slot {
                Some(fact) if deletion.tombstone => fact.tombstone = true,
                _ => *slot = None,
            }
        }
        if let Some((root, left)) = thread_left(deletion) {
            if let Some(replies) = self.replies.get_mut(&(conversation, root)) {
                replies.retain(|(reply, _)| *reply != ts);
            }
            if let Some(Some(fact)) = self.messages.get_mut(&(conversation, root)) {
                fact.thread = left.cloned();
            }
        }
    }
}

/// Adding to and taking from a message's reactions, the one rule for facts, rows and overlays.
pub trait Reactions {
    /// Adds `user` under `name`; false if they were there.
    fn add_reaction(&mut self, name: &str, user: UserId) -> bool;
    /// Adds `user` under `name` or takes them from it; false if nothing changed.
    fn set_reaction(&mut self, name: &str, user: UserId, added: bool) -> bool {
        if added { self.add_reaction(name, user) } else { self.remove_reaction(name, user) }
    }
    /// Removes `user` from the reaction `name`; false if they were not in it. A reaction without users is removed.
    fn remove_reaction(&mut self, name: &str, user: UserId) -> bool;
}

impl Reactions for Vec<Reaction> {
    fn add_reaction(&mut self, name: &str, user: UserId) -> bool {
        match self.iter_mut().find(|reaction| reaction.name == name) {
            Some(reaction) if reaction.users.contains(&user) => false,
            Some(reaction) => {
                reaction.users.push(user);
                true
            }
            None => {
                self.push(Reaction { name: name.to_owned(), users: vec![user] });
                true
            }
        }
    }

    fn remove_reaction(&mut self, name: &str, user: UserId) -> bool {
        let Some(at) = self.iter().position(|reaction| reaction.name == name) else { return false };
        let before = self[at].users.len();
        self[at].users.retain(|one| *one != user);
        let removed = self[at].users.len() < before;
        if self[at].users.is_empty() {
            self.remove(at);
        }
        removed
    }
}
