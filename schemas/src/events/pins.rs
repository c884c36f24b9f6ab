//! Messages that are pinned to their conversation.

use serde_json::json;

use crate::{About, ConversationId, Fact, Message, Meta, Reach, Ts, UserId, avro::record, system::by_actor};

record! {
    /// A message was pinned to its conversation. This implies a system message.
    pub struct MessagePinned {
        /// The beginning; the actor is who pinned it.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message as it was then.
        pub message: Message,
        /// The conversation's pins with this one.
        pub pin_count: i32,
        /// The implied message's `ts`.
        pub ts: Ts,
    }
}

impl Fact for MessagePinned {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        // Slack's letter for the place: C, G or D, as the id begins.
        let place: String = self.conversation.to_string().chars().take(1).collect();
        let item = json!({
            "type": "message", "channel": self.conversation, "ts": self.message.ts.to_string(),
            "created": self.meta.at.seconds(), "created_by": self.meta.actor,
        });
        let extra = json!({ "item_type": place, "item": item });
        let text = "pinned a message to this channel.";
        by_actor(&self.meta, self.conversation, self.ts, "pinned_item", text, extra)
    }
}

record! {
    /// A pin was taken away. (A message that is deleted loses its pin without this event.)
    pub struct MessageUnpinned {
        /// The beginning; the actor is who took it away.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message as it was then.
        pub message: Message,
        /// The person who had pinned it.
        pub pinned_by: UserId,
        /// When it was pinned.
        pub pinned_at: Ts,
        /// The pins that are left in the conversation.
        pub pin_count: i32,
    }
}

impl Fact for MessageUnpinned {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }
}
