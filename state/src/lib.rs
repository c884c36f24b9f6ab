//! `Team`, the in-memory view of one team, and `Facts`, what it does not hold. Pure: no I/O, no clock.

mod apply;
mod conversation;
mod conversations;
mod directory;
mod facts;
mod keys;
mod message;
mod people;
mod rows;
mod rules;
mod scheduled;
mod segments;
mod source;
mod team;
mod threads;
mod tokens;

pub use conversation::{Conversation, ConversationRow, Headline, Pin, change_conversation, is_countable};
pub use conversations::{CONVERSATIONS_A_SEGMENT, ConversationIndex};
pub use directory::{Directory, DirectoryEntry, DirectoryRows};
pub use facts::{Facts, FactsWanted, Reactions};
pub use keys::WriteKey;
pub use message::MessageFact;
pub use people::{Member, PEOPLE_A_SEGMENT, PersonIndex};
pub use rows::TeamRows;
pub use rules::{begun_conversations, closings, new_bot, newcomer};
pub use scheduled::{
    SCHEDULE_WINDOW_SECONDS, Scheduled, Timer, TimerKey, schedule_window, scheduled_by, timer_of, unscheduled_by,
};
pub use source::{At, SourceError, TeamSource, UserState};
pub use team::{Bot, Team};
pub use threads::{ReplyHead, thread_left, thread_of, thread_with, with_reply};
pub use tokens::{TokenHash, TokenState, issued_token, revoked_token};
