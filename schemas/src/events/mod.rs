//! Every event: a fact in the past tense, fat enough to be whole. A file a group; beside each event stand its answers to
//! what others ask of it ([`Fact`](crate::Fact)).

mod cluster;
mod consumers;
mod conversations;
mod credentials;
mod marks;
mod messages;
mod pins;
mod reactions;
mod scheduled;
mod teams;

pub use cluster::{ClusterFounded, NodeBeat, TeamRegistered};
pub use consumers::{ConsumerProgress, WorkFailed};
pub use conversations::{
    ConversationArchived, ConversationClosed, ConversationCreated, ConversationOpened, ConversationRenamed,
    ConversationUnarchived, MemberLeft, MembersJoined, PurposeSet, TopicSet,
};
pub use credentials::CredentialStored;
pub use marks::ReadMarked;
pub use messages::{MessageDeleted, MessageEdited, MessageImported, MessagePosted};
pub use pins::{MessagePinned, MessageUnpinned};
pub use reactions::{ReactionAdded, ReactionRemoved};
pub use scheduled::{MessageScheduled, ScheduledMessageDeleted};
pub use teams::{BotAdded, PasswordSet, TeamCreated, TokenIssued, TokenRevoked, UserCreated};
