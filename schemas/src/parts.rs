//! The records that events are made of.

use uuid::Uuid;

use crate::{
    BotId, ConversationId, TeamId, Ts, UserId,
    avro::{record, symbols},
};

record! {
    /// The head of every team's event.
    pub struct Meta {
        /// The event's own id, a UUID of version 7.
        pub event_id: Uuid,
        /// The team that the event is about.
        pub team: TeamId,
        /// The user who did it; none for the operator's tools.
        pub actor: Option<UserId>,
        /// When it was decided, by the writer's clock.
        pub at: Ts,
        /// The idempotency key that the client sent.
        pub key: Option<String>,
        /// The method that the key belongs to.
        pub method: Option<String>,
    }
}

record! {
    /// Personal text. All of it lies in fields of this one record, so that erasure can come as one more field here.
    #[derive(Default, Eq, Hash)]
    pub struct Text {
        /// The text.
        pub plain: String,
    }
}

impl Text {
    /// The text as it is.
    pub fn as_str(&self) -> &str {
        &self.plain
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(plain: T) -> Text {
        Text { plain: plain.into() }
    }
}

record! {
    /// A person, or the user of a bot.
    pub struct Person {
        /// The id.
        pub user: UserId,
        /// The handle, unique in the team: lower case letters, digits, `-`, `_`, `.`.
        pub name: Text,
        /// The name as people write it.
        pub real_name: Text,
        /// Unique in the team.
        pub email: Option<Text>,
        /// May manage people and conversations.
        pub is_admin: bool,
        /// Made the team.
        pub is_owner: bool,
        /// Set for a bot's user: the id that its messages carry.
        pub bot: Option<BotId>,
        /// Deactivated before it came here (by an import).
        pub deleted: bool,
        /// A name of the tz database.
        pub tz: Option<String>,
        /// A JSON object with what an import brought and nothing here understands.
        pub extra: Option<Text>,
    }
}

symbols! {
    /// The kind of a token: its rights and the prefix of its text.
    pub enum TokenKind {
        /// A person's, `xoxp-`.
        User,
        /// A bot's, `xoxb-`.
        Bot,
    }
}

record! {
    /// A token as the log knows it: never the secret.
    #[derive(Eq)]
    pub struct Token {
        /// Whose it is.
        pub user: UserId,
        /// How it looks.
        pub kind: TokenKind,
        /// SHA-256 of the token's text, in hex.
        pub hash: String,
    }
}

record! {
    /// A channel that a team begins with.
    #[derive(Eq)]
    pub struct FirstChannel {
        /// The id.
        pub conversation: ConversationId,
        /// The name.
        pub name: String,
        /// The channel that everybody is in and nobody can leave.
        pub is_general: bool,
        /// The purpose.
        pub purpose: Text,
    }
}

symbols! {
    /// The kinds of conversations.
    pub enum ConversationKind {
        /// Everybody may see and join it.
        PublicChannel,
        /// Members only.
        PrivateChannel,
        /// A direct message of three people or more.
        Mpim,
        /// A direct message of two people, or with oneself.
        Im,
    }
}

impl ConversationKind {
    /// Whether it has a name, a topic and comings and goings (not a direct message).
    pub const fn is_channel(self) -> bool {
        matches!(self, ConversationKind::PublicChannel | ConversationKind::PrivateChannel)
    }
}

record! {
    /// A user who joined, and the `ts` of the join message.
    #[derive(Copy, Eq)]
    pub struct Joined {
        /// The user who joined.
        pub user: UserId,
        /// The join message's `ts`.
        pub ts: Ts,
    }
}

record! {
    /// The last edit of a message: its author and time.
    #[derive(Copy, Eq)]
    pub struct Edited {
        /// The user who edited it.
        pub user: UserId,
        /// When: names the version of the message.
        pub ts: Ts,
    }
}

record! {
    /// A message. JSON bodies (blocks, attachments) are kept as text, as they were sent.
    #[derive(Default)]
    pub struct Message {
        /// With its conversation it names the message for good.
        pub ts: Ts,
        /// The person (or bot's user) who wrote it.
        pub user: Option<UserId>,
        /// The bot that sent it.
        pub bot: Option<BotId>,
        /// Slack's subtype, as `me_message`, `bot_message`, `channel_join`.
        pub subtype: Option<String>,
        /// The text, in Slack's markup.
        pub text: Text,
        /// A JSON array.
        pub blocks: Option<Text>,
        /// A JSON array.
        pub attachments: Option<Text>,
        /// The root's `ts`, on replies.
        pub thread_ts: Option<Ts>,
        /// A reply that is shown in the conversation too.
        pub reply_broadcast: bool,
        /// The last edit.
        pub edited: Option<Edited>,
        /// A bot's name for this message.
        pub username: Option<Text>,
        /// A JSON object of icons for this message.
        pub icons: Option<Text>,
        /// The client's own name for the message.
        pub client_msg_id: Option<String>,
        /// A JSON object with what an import brought and nothing here understands, given back as it was.
        pub extra: Option<Text>,
    }
}

impl Message {
    /// Whether it is a reply in a thread (a root is not).
    pub fn is_reply(&self) -> bool {
        self.thread_ts.is_some_and(|root| root != self.ts)
    }
}

record! {
    /// A thread as it stands after the event that carries this.
    pub struct Thread {
        /// The `ts` of the root.
        pub root: Ts,
        /// The author of the root.
        pub root_author: Option<UserId>,
        /// Replies that are not deleted.
        pub reply_count: i32,
        /// The newest of them; none when none is left.
        pub latest_reply: Option<Ts>,
        /// The first five users who replied.
        pub reply_users: Vec<UserId>,
    }
}

symbols! {
    /// The people whom a message calls without naming them.
    pub enum Broadcast {
        /// `<!here>`: those who are active.
        Here,
        /// `<!channel>`: all members.
        Channel,
        /// `<!everyone>`: all members of the general channel.
        Everyone,
    }
}

record! {
    /// An author's choice about showing previews of links below a message. An absent field was not chosen: then a person's
    /// message shows all links, a bot's message only media.
    #[derive(Copy, Default, Eq)]
    pub struct UnfurlFlags {
        /// Show links to pages of text.
        pub links: Option<bool>,
        /// Show links to media.
        pub media: Option<bool>,
    }
}

record! {
    /// An emoji on a message and the users who put it there.
    #[derive(Eq)]
    pub struct Reaction {
        /// The emoji's name, without colons.
        pub name: String,
        /// The users, in the order in which they reacted.
        pub users: Vec<UserId>,
    }
}
