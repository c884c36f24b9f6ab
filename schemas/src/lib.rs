//! The contract: the Rust type of every event, its Avro schema, ids, `Ts` and the Confluent wire format. No I/O.

mod event;
mod events;
mod ids;
mod json;
mod membership;
mod messages;
mod partition;
mod parts;
mod ranges;
mod registered;
mod ts;

pub use event::{CodecError, EVENT_BYTES_MAX, Event, NAMESPACE, SchemaVersion, schemas};
pub use events::{
    BotAdded, ClusterFounded, ConsumerProgress, ConversationArchived, ConversationClosed, ConversationCreated,
    ConversationOpened, ConversationRenamed, ConversationUnarchived, CredentialStored, MemberLeft, MembersJoined,
    MessageDeleted, MessageEdited, MessageImported, MessagePosted, NodeBeat, PasswordSet, PurposeSet, ReactionAdded,
    ReactionRemoved, ReadMarked, TeamCreated, TeamRegistered, TokenIssued, TokenRevoked, TopicSet, UserCreated,
    WorkFailed,
};
pub use ids::{BotId, ConversationId, FileId, ID_LEN_MAX, InvalidId, TeamId, UserId};
pub use membership::Membership;
pub use messages::{is_system, subtype_in};
pub use partition::partition_of;
pub use parts::{
    Broadcast, ConversationKind, Edited, FirstChannel, Joined, Message, Meta, Person, Reaction, Text, Thread, Token,
    TokenKind,
};
pub use ranges::{ID_RANGES, IdRange};
pub use registered::{key_of_registration, registration_of_key};
pub use ts::{InvalidTs, Ts};
