//! A conversation, as it lies in a shard and as it lies in a team.

use std::ops::{Deref, DerefMut};

use roaring::RoaringBitmap;
use teamlog_schemas::{ConversationCreated, ConversationId, ConversationKind, FirstChannel, Text, Ts, UserId};

/// A topic or a purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headline {
    /// The text.
    pub value: Text,
    /// Who set it; none if nobody did.
    pub creator: Option<UserId>,
    /// When it was set; zero if never.
    pub last_set: Ts,
}

impl Headline {
    /// One that somebody set.
    pub fn set(value: &Text, creator: Option<UserId>, last_set: Ts) -> Headline {
        Headline { value: value.clone(), creator, last_set }
    }

    /// The first one; nobody set an empty one.
    fn first(value: &Text, creator: Option<UserId>, last_set: Ts) -> Headline {
        if value.plain.is_empty() { Headline::default() } else { Headline::set(value, creator, last_set) }
    }
}

/// A conversation of any kind, without its members.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationRow {
    /// The id.
    pub conversation: ConversationId,
    /// What it is.
    pub kind: ConversationKind,
    /// The name; none for a direct message of two.
    pub name: Option<String>,
    /// Who made it.
    pub creator: Option<UserId>,
    /// When.
    pub created: Ts,
    /// The topic.
    pub topic: Headline,
    /// The purpose.
    pub purpose: Headline,
    /// The channel that everybody is in.
    pub is_general: bool,
    /// In the archive.
    pub is_archived: bool,
    /// Names it had, newest last.
    pub previous_names: Vec<String>,
    /// The newest message's `ts`; zero if there is none.
    pub latest: Ts,
    /// The oldest message that was posted here (not imported); [`Ts::MAX`] if there is none. An import must be older.
    pub first_posted: Ts,
    /// How many countable messages were ever posted: the newest one's ordinal.
    pub ordinal: u64,
    /// A JSON object with what an import brought and nothing here understands.
    pub extra: Option<Text>,
}

impl ConversationRow {
    /// One that its own event began.
    pub fn created(event: &ConversationCreated) -> ConversationRow {
        ConversationRow {
            name: event.name.clone(),
            topic: Headline::first(&event.topic, event.creator, event.created),
            purpose: Headline::first(&event.purpose, event.creator, event.created),
            is_general: event.is_general,
            is_archived: event.is_archived,
            extra: event.extra.clone(),
            ..ConversationRow::blank(event.conversation, event.kind, event.creator, event.created)
        }
    }

    /// One that its team began with.
    pub fn first(first: &FirstChannel, owner: UserId, created: Ts) -> ConversationRow {
        ConversationRow {
            name: Some(first.name.clone()),
            purpose: Headline::first(&first.purpose, Some(owner), created),
            is_general: first.is_general,
            ..ConversationRow::blank(first.conversation, ConversationKind::PublicChannel, Some(owner), created)
        }
    }

    fn blank(
        conversation: ConversationId,
        kind: ConversationKind,
        creator: Option<UserId>,
        created: Ts,
    ) -> ConversationRow {
        ConversationRow {
            conversation,
            kind,
            name: None,
            creator,
            created,
            topic: Headline::default(),
            purpose: Headline::default(),
            is_general: false,
            is_archived: false,
            previous_names: Vec::new(),
            latest: Ts::ZERO,
            first_posted: Ts::MAX,
            ordinal: 0,
            extra: None,
        }
    }
}

/// A conversation in its team: all that its row says, and who is in it.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The rest of it; its fields are this one's too.
    pub row: ConversationRow,
    /// Who is in it, by index.
    pub members: RoaringBitmap,
    /// Direct messages only: the members for whom it is closed.
    pub closed_for: RoaringBitmap,
}

impl From<ConversationRow> for Conversation {
    fn from(row: ConversationRow) -> Conversation {
        Conversation { row, members: RoaringBitmap::new(), closed_for: RoaringBitmap::new() }
    }
}

impl Deref for Conversation {
    type Target = ConversationRow;

    fn deref(&self) -> &ConversationRow {
        &self.row
    }
}

impl DerefMut for Conversation {
    fn deref_mut(&mut self) -> &mut ConversationRow {
        &mut self.row
    }
}
