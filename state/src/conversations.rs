//! The conversations of a team, by their dense indexes, and the ways to find one.

use std::{collections::HashMap, sync::Arc};

use teamlog_schemas::ConversationId;

use crate::{Conversation, PersonIndex, segments::Segments};

/// Conversations a segment holds at most.
pub const CONVERSATIONS_A_SEGMENT: usize = 256;

/// A conversation's dense index in its team.
pub type ConversationIndex = u32;

/// Every conversation of a team. A clone shares what does not change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversations {
    all: Segments<Conversation, CONVERSATIONS_A_SEGMENT>,
    by_id: Arc<HashMap<ConversationId, ConversationIndex>>,
    channels_by_name: Arc<HashMap<String, ConversationIndex>>,
    /// Direct messages by their members' indexes, ascending: a pair (or one, with oneself) or a group.
    directs: Arc<HashMap<Vec<PersonIndex>, ConversationIndex>>,
    general: Option<ConversationIndex>,
}

impl Conversations {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Conversation> {
        self.all.iter()
    }

    pub(crate) fn get(&self, index: ConversationIndex) -> Option<&Conversation> {
        self.all.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: ConversationIndex) -> Option<&mut Conversation> {
        self.all.get_mut(index)
    }

    pub(crate) fn index(&self, conversation: ConversationId) -> Option<ConversationIndex> {
        self.by_id.get(&conversation).copied()
    }

    pub(crate) fn channel_named(&self, name: &str) -> Option<&Conversation> {
        self.all.get(*self.channels_by_name.get(name)?)
    }

    pub(crate) fn general(&self) -> Option<&Conversation> {
        self.all.get(self.general?)
    }

    /// Returns the direct message of exactly these members, whose indexes ascend.
    pub(crate) fn direct(&self, members: &[PersonIndex]) -> Option<&Conversation> {
        self.all.get(*self.directs.get(members)?)
    }

    /// Adds a conversation. One that is known already stays as it is.
    pub(crate) fn add(&mut self, conversation: Conversation) {
        let id = conversation.conversation;
        if self.by_id.contains_key(&id) {
            return;
        }
        let channel_name = conversation.name.clone().filter(|_| conversation.kind.is_channel());
        let is_general = conversation.is_general;
        let index = self.all.push(conversation);
        Arc::make_mut(&mut self.by_id).insert(id, index);
        if let Some(name) = channel_name {
            Arc::make_mut(&mut self.channels_by_name).insert(name, index);
        }
        if is_general {
            self.general = Some(index);
        }
    }

    /// Makes a direct message findable by its members. To be called once they are all in.
    pub(crate) fn index_direct(&mut self, index: ConversationIndex) {
        let Some(conversation) = self.all.get(index) else { return };
        if !conversation.kind.is_channel() {
            let members = conversation.members.iter().collect();
            Arc::make_mut(&mut self.directs).insert(members, index);
        }
    }

    /// Makes a channel findable by its new name. Its old one is free, unless another channel has it by now.
    pub(crate) fn index_new_name(&mut self, conversation: ConversationId, old: &str, new: &str) {
        let Some(index) = self.index(conversation) else { return };
        let names = Arc::make_mut(&mut self.channels_by_name);
        if names.get(old) == Some(&index) {
            names.remove(old);
        }
        names.insert(new.to_owned(), index);
    }
}
