//! How far people have read.

use crate::{About, ConversationId, Fact, Meta, Reach, Ts, avro::record, mark_key};

record! {
    /// A person has read a conversation up to a message (topic `marks`: the last one wins, and one may be lost).
    pub struct ReadMarked {
        /// The beginning; the actor is the reader.
        pub meta: Meta,
        /// The conversation.
        pub conversation: ConversationId,
        /// The newest message that was read.
        pub ts: Ts,
    }
}

impl Fact for ReadMarked {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn record_key(&self) -> Option<String> {
        Some(mark_key(self.meta.team, self.meta.actor?, self.conversation))
    }
}
