//! Commands: requests to change a team. They never enter the log; between nodes they travel as JSON, in which a newer
//! node's keys are ignored and an older one's are defaulted.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use teamlog_schemas::{
    BotId, ConversationId, ConversationKind, Message, Reaction, TeamId, TeamRegistered, Text, TokenKind, Ts,
    UnfurlFlags, UserId,
};
use tokio::time::Instant;
use uuid::Uuid;

/// A command with all that its decision depends on beside the team's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The team.
    pub team: TeamId,
    /// Who asks; none for the operator's tools, who may do everything.
    pub actor: Option<UserId>,
    /// The Web API method, for the idempotency key and for metrics.
    pub method: Cow<'static, str>,
    /// The idempotency key, if the client sent one: at most 255 bytes.
    pub key: Option<String>,
    /// When the caller stops waiting: what is not in the log by then is not appended any more.
    #[serde(skip, default = "Instant::now")]
    pub deadline: Instant,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// What is wanted.
    pub command: Command,
}

/// What can be wanted of a team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// The second step of making a team.
    BeginTeam(Box<TeamRegistered>),
    /// A person or a bot's user comes.
    CreateUser(Box<NewPerson>),
    /// A bot without a user comes (by an import).
    AddBot {
        /// The id.
        bot: BotId,
        /// The name.
        name: String,
        /// A JSON object.
        extra: Option<String>,
    },
    /// A new token for somebody.
    IssueToken {
        /// For whom.
        user: UserId,
    },
    /// A token dies.
    RevokeToken {
        /// SHA-256 of its text, in hex.
        hash: String,
    },
    /// A password counts, whose sealed hash lies in `credentials` already.
    SetPassword {
        /// Whose.
        user: UserId,
        /// The record.
        credential_id: Uuid,
    },
    /// A channel begins.
    CreateConversation(Box<NewConversation>),
    /// A direct message with these people (and the actor) is wanted, made if need be, opened for the actor.
    OpenDirect {
        /// The others; none or the actor alone is a direct message with oneself.
        users: Vec<UserId>,
    },
    /// A direct message is opened for the actor.
    OpenConversation {
        /// Which.
        conversation: ConversationId,
    },
    /// A direct message is closed for the actor.
    CloseDirect {
        /// Which.
        conversation: ConversationId,
    },
    /// The actor joins a public channel.
    Join {
        /// Which.
        conversation: ConversationId,
    },
    /// The actor brings people into a channel.
    Invite {
        /// Which.
        conversation: ConversationId,
        /// Whom.
        users: Vec<UserId>,
    },
    /// The actor leaves a channel.
    Leave {
        /// Which.
        conversation: ConversationId,
    },
    /// The actor removes somebody from a channel.
    Kick {
        /// Which.
        conversation: ConversationId,
        /// Whom.
        user: UserId,
    },
    /// A channel gets another name.
    Rename {
        /// Which.
        conversation: ConversationId,
        /// The name.
        name: String,
    },
    /// A channel gets a topic.
    SetTopic {
        /// Which.
        conversation: ConversationId,
        /// The topic.
        topic: String,
    },
    /// A channel gets a purpose.
    SetPurpose {
        /// Which.
        conversation: ConversationId,
        /// The purpose.
        purpose: String,
    },
    /// A channel goes to the archive.
    Archive {
        /// Which.
        conversation: ConversationId,
    },
    /// A channel comes back from the archive.
    Unarchive {
        /// Which.
        conversation: ConversationId,
    },
    /// A message.
    Post(Box<Post>),
    /// A message of an import.
    ImportMessage(Box<ImportedMessage>),
    /// A message is changed.
    Edit(Box<Edit>),
    /// What is shown of a link of a message is attached to it.
    Unfurl(Box<Unfurl>),
    /// An attachment of a message is removed.
    RemoveAttachment {
        /// Where.
        conversation: ConversationId,
        /// Which.
        ts: Ts,
        /// The attachment's `id`.
        number: u64,
    },
    /// A message is deleted.
    Delete {
        /// Where.
        conversation: ConversationId,
        /// Which.
        ts: Ts,
    },
    /// The actor puts an emoji on a message.
    React {
        /// Where.
        conversation: ConversationId,
        /// Which.
        ts: Ts,
        /// The emoji's name.
        name: String,
    },
    /// The actor takes an emoji off a message.
    Unreact {
        /// Where.
        conversation: ConversationId,
        /// Which.
        ts: Ts,
        /// The emoji's name.
        name: String,
    },
}

/// A person to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewPerson {
    /// An imported id; none for a new one.
    pub user: Option<UserId>,
    /// The handle.
    pub name: String,
    /// The name as people write it; the handle if empty.
    pub real_name: String,
    /// The address.
    pub email: Option<String>,
    /// A bot's user.
    pub is_bot: bool,
    /// An imported bot id, with `is_bot`.
    pub bot: Option<BotId>,
    /// May manage the team.
    pub is_admin: bool,
    /// Deactivated (by an import).
    pub deleted: bool,
    /// A name of the tz database.
    pub tz: Option<String>,
    /// A JSON object (by an import).
    pub extra: Option<String>,
    /// The password's record in `credentials`.
    pub credential_id: Option<Uuid>,
    /// Give a token too.
    pub with_token: bool,
}

/// A conversation to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewConversation {
    /// An imported id; none for a new one.
    pub conversation: Option<ConversationId>,
    /// What it is.
    pub kind: ConversationKind,
    /// The name of a channel.
    pub name: Option<String>,
    /// Who is in it besides the actor.
    pub members: Vec<UserId>,
    /// Set by an import: it keeps what it was, and no message says that it began.
    pub imported: Option<ImportedConversation>,
}

/// What an import knows of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportedConversation {
    /// Who made it.
    pub creator: Option<UserId>,
    /// When.
    pub created: Ts,
    /// The topic.
    pub topic: String,
    /// The purpose.
    pub purpose: String,
    /// The channel that everybody is in.
    pub is_general: bool,
    /// In the archive.
    pub is_archived: bool,
    /// A JSON object.
    pub extra: Option<String>,
}

/// A message to be posted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Post {
    /// Where; none with `to_user`.
    pub conversation: Option<ConversationId>,
    /// The text.
    pub text: String,
    /// A JSON array.
    pub blocks: Option<String>,
    /// A JSON array.
    pub attachments: Option<String>,
    /// The root's `ts`, for a reply.
    pub thread_ts: Option<Ts>,
    /// Show the reply in the conversation too.
    pub reply_broadcast: bool,
    /// `me_message` or none.
    pub subtype: Option<Cow<'static, str>>,
    /// A bot's name for this message.
    pub username: Option<String>,
    /// A JSON object of icons for this message.
    pub icons: Option<String>,
    /// The client's own name for the message.
    pub client_msg_id: Option<String>,
    /// What is said about showing its links, if anything.
    pub unfurl: Option<UnfurlFlags>,
}

/// Attaches to a message what is shown of one of its links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unfurl {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
    /// The link, as it stands in the message.
    pub link: String,
    /// A JSON object, whose `from_url` is the link.
    pub attachment: String,
}

/// A message of an import, with its own `ts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedMessage {
    /// Where.
    pub conversation: ConversationId,
    /// The message.
    pub message: Message,
    /// Its reactions.
    pub reactions: Vec<Reaction>,
}

/// A change of a message. What is none stays as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Where.
    pub conversation: ConversationId,
    /// Which.
    pub ts: Ts,
    /// The text.
    pub text: Option<String>,
    /// A JSON array.
    pub blocks: Option<String>,
    /// A JSON array.
    pub attachments: Option<String>,
    /// The version that this edits, by its `edited.ts` ([`Ts::ZERO`]: one never edited). Another one is a conflict.
    pub expected_edited_ts: Option<Ts>,
}

/// A team to be made: the first of the two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTeam {
    /// The domain.
    pub domain: String,
    /// The name.
    pub name: String,
    /// The owner: always an admin, never a bot.
    pub owner: NewPerson,
    /// An imported team id; none for a new one.
    pub team: Option<TeamId>,
    /// The channels that it begins with; none for `general` and `random`.
    pub channels: Option<Vec<teamlog_schemas::FirstChannel>>,
    /// The idempotency key: good for the same domain and owner's email.
    pub key: Option<String>,
    /// When the caller stops waiting.
    #[serde(skip, default = "Instant::now")]
    pub deadline: Instant,
}

impl Command {
    /// How a token of this command's person would look.
    pub(crate) fn token_kind(is_bot: bool) -> TokenKind {
        if is_bot { TokenKind::Bot } else { TokenKind::User }
    }
}

/// Personal text that may be absent.
pub(crate) fn text(plain: &Option<String>) -> Option<Text> {
    plain.as_deref().map(Text::from)
}
