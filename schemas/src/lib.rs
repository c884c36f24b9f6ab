//! The contract: the Rust type of every event, its Avro schema, ids, `Ts` and the Confluent wire format. No I/O.

mod avro;
mod codec;
mod event;
mod events;
mod fact;
mod ids;
mod json;
mod keys;
mod partition;
mod parts;
mod ranges;
mod registered;
mod system;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod ts;

pub use avro::NAMESPACE;
pub use codec::{CodecError, EVENT_BYTES_MAX, SchemaVersion};
pub use event::{EVENTS, Event, EventType, schemas};
// Its list is the list of events.
pub use events::*;
pub use fact::{About, Changed, Deletion, Fact, Membership, MessageChange, Reach};
pub use ids::{BotId, ConversationId, FileId, ID_LEN_MAX, InvalidId, ScheduleId, TeamId, UserId};
pub use keys::{credential_key, mark_key};
pub use partition::partition_of;
pub use parts::{
    Broadcast, ConversationKind, Edited, FirstChannel, Joined, Message, Meta, Person, Reaction, Text, Thread, Token,
    TokenKind, UnfurlFlags,
};
pub use ranges::{ID_RANGES, IdRange};
pub use registered::{key_of_registration, registration_of_key};
pub use system::{is_system, subtype_in};
pub use ts::{InvalidTs, Ts};
