//! `Team`, the in-memory view of one team, and `Facts`, what it does not hold. Pure: no I/O, no clock.

mod apply;
mod conversation;
mod directory;
mod facts;
mod keys;
mod rows;
mod segments;
mod source;
mod team;

pub use apply::is_countable;
pub use conversation::{Conversation, ConversationRow, Headline};
pub use directory::{Directory, DirectoryEntry, DirectoryRows, DirectorySource};
pub use facts::{Facts, FactsWanted, MessageFact, Reactions, ReplyHead, thread_of, thread_with};
pub use rows::TeamRows;
pub use source::{At, SourceError, TeamSource, UserState};
pub use team::{
    Bot, CONVERSATIONS_A_SEGMENT, ConversationIndex, Member, PEOPLE_A_SEGMENT, PersonIndex, Team, TokenHash,
    TokenState, WriteKey,
};
