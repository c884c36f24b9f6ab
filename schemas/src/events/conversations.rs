//! Conversations: how they begin, who is in them, what they are called.

use serde_json::{Value as Json, json};

use crate::{
    About, ConversationId, ConversationKind, Fact, Joined, Membership, Message, Meta, Reach, Text, Ts, UserId,
    avro::record,
    system::{by_actor, joined, system},
};

record! {
    /// A conversation began.
    pub struct ConversationCreated {
        /// The beginning.
        pub meta: Meta,
        /// The conversation.
        pub conversation: ConversationId,
        /// The kind of conversation.
        pub kind: ConversationKind,
        /// The name; none for a direct message of two.
        pub name: Option<String>,
        /// The creator.
        pub creator: Option<UserId>,
        /// The first members.
        pub members: Vec<UserId>,
        /// When; of a channel that was made here (not imported) also the `ts` of the creator's join message.
        pub created: Ts,
        /// The topic.
        pub topic: Text,
        /// The purpose.
        pub purpose: Text,
        /// The channel that everybody is in.
        pub is_general: bool,
        /// Archived before it came here (by an import).
        pub is_archived: bool,
        /// Came by an import: no join message, no frames.
        pub imported: bool,
        /// A JSON object with what an import brought and nothing here understands.
        pub extra: Option<Text>,
    }
}

impl Fact for ConversationCreated {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        match self.kind {
            _ if self.imported => Reach::Nobody,
            ConversationKind::PublicChannel => Reach::Viewers,
            ConversationKind::PrivateChannel | ConversationKind::Mpim | ConversationKind::Im => Reach::Members,
        }
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        match self.creator {
            Some(creator) if self.kind.is_channel() && !self.imported => {
                vec![(self.conversation, joined(self.created, creator, None))]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn memberships(&self) -> Vec<Membership> {
        let joined = |user: &UserId| Membership { conversation: self.conversation, user: *user, joined: true };
        self.members.iter().map(joined).collect()
    }

    /// Its `created` is a `ts` of the team even where no join message has it.
    fn given_ts(&self) -> Ts {
        if self.imported { Ts::ZERO } else { self.created }
    }
}

record! {
    /// A person opened a direct message that was closed for them.
    pub struct ConversationOpened {
        /// The beginning; the actor is who opened it.
        pub meta: Meta,
        /// The direct message.
        pub conversation: ConversationId,
    }
}

impl Fact for ConversationOpened {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }
}

record! {
    /// A person closed a direct message for themselves.
    pub struct ConversationClosed {
        /// The beginning; the actor is who closed it.
        pub meta: Meta,
        /// The direct message.
        pub conversation: ConversationId,
    }
}

impl Fact for ConversationClosed {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }
}

record! {
    /// People came to a channel. It implies one join message each.
    pub struct MembersJoined {
        /// The beginning.
        pub meta: Meta,
        /// The channel.
        pub conversation: ConversationId,
        /// The person who invited them; none if they joined by themselves.
        pub inviter: Option<UserId>,
        /// The people who joined, with the `ts` of their join messages, ascending.
        pub joined: Vec<Joined>,
    }
}

impl Fact for MembersJoined {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        self.joined.iter().map(|one| (self.conversation, joined(one.ts, one.user, self.inviter))).collect()
    }

    fn memberships(&self) -> Vec<Membership> {
        let joined = |one: &Joined| Membership { conversation: self.conversation, user: one.user, joined: true };
        self.joined.iter().map(joined).collect()
    }
}

record! {
    /// A person left a channel or was removed. It implies a leave message.
    pub struct MemberLeft {
        /// The beginning.
        pub meta: Meta,
        /// The channel.
        pub conversation: ConversationId,
        /// The person who left.
        pub user: UserId,
        /// The person who removed them; none if they left by themselves.
        pub kicked_by: Option<UserId>,
        /// The leave message's `ts`.
        pub ts: Ts,
    }
}

impl Fact for MemberLeft {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        let text = format!("<@{}> has left the channel", self.user);
        vec![(self.conversation, system(self.ts, self.user, "channel_leave", text))]
    }

    fn memberships(&self) -> Vec<Membership> {
        vec![Membership { conversation: self.conversation, user: self.user, joined: false }]
    }
}

record! {
    /// A channel has another name. It implies a message.
    pub struct ConversationRenamed {
        /// The beginning.
        pub meta: Meta,
        /// The channel.
        pub conversation: ConversationId,
        /// The name before.
        pub old_name: String,
        /// The new name.
        pub name: String,
        /// The message's `ts`.
        pub ts: Ts,
    }
}

impl Fact for ConversationRenamed {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Viewers
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        let text = format!("has renamed the channel from \"{}\" to \"{}\"", self.old_name, self.name);
        let extra = json!({ "old_name": self.old_name, "name": self.name });
        by_actor(&self.meta, self.conversation, self.ts, "channel_name", &text, extra)
    }
}

record! {
    /// A channel has another topic. It implies a message.
    pub struct TopicSet {
        /// The beginning.
        pub meta: Meta,
        /// The channel.
        pub conversation: ConversationId,
        /// The topic.
        pub topic: Text,
        /// The message's `ts`.
        pub ts: Ts,
    }
}

impl Fact for TopicSet {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        let text = format!("set the channel topic: {}", self.topic.plain);
        let extra = json!({ "topic": self.topic.plain });
        by_actor(&self.meta, self.conversation, self.ts, "channel_topic", &text, extra)
    }
}

record! {
    /// A channel has another purpose. It implies a message.
    pub struct PurposeSet {
        /// The beginning.
        pub meta: Meta,
        /// The channel.
        pub conversation: ConversationId,
        /// The purpose.
        pub purpose: Text,
        /// The message's `ts`.
        pub ts: Ts,
    }
}

impl Fact for PurposeSet {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Members
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        let text = format!("set the channel purpose: {}", self.purpose.plain);
        let extra = json!({ "purpose": self.purpose.plain });
        by_actor(&self.meta, self.conversation, self.ts, "channel_purpose", &text, extra)
    }
}

record! {
    /// A channel was archived. It implies a message.
    pub struct ConversationArchived {
        /// The beginning.
        pub meta: Meta,
        /// The channel.
        pub conversation: ConversationId,
        /// The message's `ts`.
        pub ts: Ts,
    }
}

impl Fact for ConversationArchived {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Viewers
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        let text = "archived the channel";
        by_actor(&self.meta, self.conversation, self.ts, "channel_archive", text, Json::Null)
    }
}

record! {
    /// A channel was taken back from the archive. It implies a message.
    pub struct ConversationUnarchived {
        /// The beginning.
        pub meta: Meta,
        /// The channel.
        pub conversation: ConversationId,
        /// The message's `ts`.
        pub ts: Ts,
    }
}

impl Fact for ConversationUnarchived {
    fn about(&self) -> About<'_> {
        About::Conversation(&self.meta, self.conversation)
    }

    fn reach(&self) -> Reach {
        Reach::Viewers
    }

    fn implied(&self) -> Vec<(ConversationId, Message)> {
        let text = "un-archived the channel";
        by_actor(&self.meta, self.conversation, self.ts, "channel_unarchive", text, Json::Null)
    }
}
