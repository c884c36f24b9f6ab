//! Messages: posted, imported, edited, deleted.

use crate::{
    About, Broadcast, Changed, ConversationId, Deletion, Edited, Fact, Message, MessageChange, Meta, Reach, Reaction,
    ScheduleId, Thread, Ts, UnfurlFlags, UserId, avro::record,
};

record! {
    /// A message was posted.
    pub struct MessagePosted {
        /// The beginning.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message.
        pub message: Message,
        /// On a reply: its thread, this reply included.
        pub thread: Option<Thread>,
        /// The people whom it names.
        pub mentions: Vec<UserId>,
        /// The people whom it calls without naming them.
        pub broadcast: Option<Broadcast>,
        /// Members of a direct message for whom this post opens it again.
        pub opens_for: Vec<UserId>,
        /// The author's choice about showing previews of links, if any.
        pub unfurl: Option<UnfurlFlags>,
        /// The scheduled message that it is, if it is one.
        pub schedule: Option<ScheduleId>,
    }
}

impl Fact for MessagePosted {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn message(&self) -> Option<(ConversationId, &Message)> {
        Some((self.conversation, &self.message))
    }
}

record! {
    /// A message came by an import, with its own `ts`. It is not sent to sessions and does not count as unread.
    pub struct MessageImported {
        /// The beginning.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message.
        pub message: Message,
        /// The reactions that it had.
        pub reactions: Vec<Reaction>,
    }
}

impl Fact for MessageImported {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn message(&self) -> Option<(ConversationId, &Message)> {
        Some((self.conversation, &self.message))
    }

    /// Returns zero: the message keeps the `ts` that it had.
    fn given_ts(&self) -> Ts {
        Ts::ZERO
    }
}

record! {
    /// A message was changed: edited by its author, so that `after.edited` is another one than `before.edited`; or, where
    /// that stayed, given other attachments, as what is shown of its links comes and goes.
    pub struct MessageEdited {
        /// The beginning.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message as it was.
        pub before: Message,
        /// The message as it is.
        pub after: Message,
    }
}

impl Fact for MessageEdited {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn change(&self) -> Option<MessageChange<'_>> {
        let what = Changed::Edited(&self.after);
        Some(MessageChange { conversation: self.conversation, ts: self.after.ts, what })
    }

    /// Returns the `ts` of the edit, which names a version of the message; no message is added.
    fn given_ts(&self) -> Ts {
        self.edit().map_or(Ts::ZERO, |edit| edit.ts)
    }
}

impl MessageEdited {
    /// The edit by the message's author; none if only attachments came or went.
    pub fn edit(&self) -> Option<Edited> {
        self.after.edited.filter(|edited| Some(*edited) != self.before.edited)
    }
}

record! {
    /// A message was deleted.
    pub struct MessageDeleted {
        /// The beginning.
        pub meta: Meta,
        /// Where.
        pub conversation: ConversationId,
        /// The message as it was.
        pub before: Message,
        /// A root with replies leaves a tombstone, for the thread goes on.
        pub tombstone: bool,
        /// If it was a reply: its thread without it.
        pub thread: Option<Thread>,
    }
}

impl Fact for MessageDeleted {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn change(&self) -> Option<MessageChange<'_>> {
        let Self { before, tombstone, thread, .. } = self;
        let what = Changed::Deleted(Deletion { before, tombstone: *tombstone, thread: thread.as_ref() });
        Some(MessageChange { conversation: self.conversation, ts: self.before.ts, what })
    }
}
