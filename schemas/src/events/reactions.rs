//! Emoji on messages.

use crate::{About, Changed, ConversationId, Fact, MessageChange, Meta, Reach, Ts, UserId, avro::record};

record! {
    /// A person put an emoji on a message.
    pub struct ReactionAdded {
        /// The beginning; the actor is who reacted.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message.
        pub ts: Ts,
        /// The emoji's name, without colons.
        pub name: String,
        /// The author of the message.
        pub item_author: Option<UserId>,
    }
}

impl Fact for ReactionAdded {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn change(&self) -> Option<MessageChange<'_>> {
        let what = Changed::Reacted { name: &self.name, user: self.meta.actor?, added: true };
        Some(MessageChange { conversation: self.conversation, ts: self.ts, what })
    }
}

record! {
    /// A person took an emoji off a message.
    pub struct ReactionRemoved {
        /// The beginning; the actor is whose reaction it was.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message.
        pub ts: Ts,
        /// The emoji's name, without colons.
        pub name: String,
        /// The author of the message.
        pub item_author: Option<UserId>,
    }
}

impl Fact for ReactionRemoved {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn change(&self) -> Option<MessageChange<'_>> {
        let what = Changed::Reacted { name: &self.name, user: self.meta.actor?, added: false };
        Some(MessageChange { conversation: self.conversation, ts: self.ts, what })
    }
}
