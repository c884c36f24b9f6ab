//! Messages that are to be posted at a time.

use crate::{About, ConversationId, Fact, Message, Meta, Reach, ScheduleId, Ts, UnfurlFlags, avro::record};

record! {
    /// A message was scheduled. It ends with the `MessagePosted` that names it, or with a `ScheduledMessageDeleted`.
    pub struct MessageScheduled {
        /// The beginning; the actor is the author.
        pub meta: Meta,
        /// Where it will be posted.
        pub conversation: ConversationId,
        /// Its id.
        pub schedule: ScheduleId,
        /// When it is due.
        pub due: Ts,
        /// The message. Its `ts` is the time when it is due; it gets its own when it is posted.
        pub message: Message,
        /// The author's wishes about showing links, if any.
        pub unfurl: Option<UnfurlFlags>,
    }
}

impl Fact for MessageScheduled {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }
}

record! {
    /// A scheduled message will not be posted: its author deleted it, or it could not be posted when it was due.
    pub struct ScheduledMessageDeleted {
        /// The beginning; the actor is who deleted it, none if it could not be posted.
        pub meta: Meta,
        /// Where it would have been posted.
        pub conversation: ConversationId,
        /// Its id.
        pub schedule: ScheduleId,
        /// Why it could not be posted: the code that a post would have been refused with.
        pub failed: Option<String>,
    }
}

impl Fact for ScheduledMessageDeleted {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }
}
