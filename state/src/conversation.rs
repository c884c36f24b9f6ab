//! A conversation, as it lies in a shard and as it lies in a team.

use std::ops::{Deref, DerefMut};

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use teamlog_schemas::{
    ConversationCreated, ConversationId, ConversationKind, Event, FirstChannel, Message, Text, Ts, UserId, is_system,
};

/// A topic or a purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headline {
    /// The text.
    pub value: Text,
    /// The user who set it; none if it was never set.
    pub creator: Option<UserId>,
    /// When it was set; zero if never.
    pub last_set: Ts,
}

impl Headline {
    /// Builds a headline that was set.
    pub fn set(value: &Text, creator: Option<UserId>, last_set: Ts) -> Headline {
        Headline { value: value.clone(), creator, last_set }
    }

    /// Builds the headline that a conversation begins with. An empty one counts as never set.
    fn first(value: &Text, creator: Option<UserId>, last_set: Ts) -> Headline {
        if value.plain.is_empty() { Headline::default() } else { Headline::set(value, creator, last_set) }
    }
}

/// A message that is pinned to its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The message.
    pub ts: Ts,
    /// The person who pinned it.
    pub by: UserId,
    /// When it was pinned.
    pub at: Ts,
}

/// A conversation of any kind, without its members.
///
/// Serialized it is the body of the shard's row; what serde skips is a column of its own there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationRow {
    /// The id.
    pub conversation: ConversationId,
    /// The kind of conversation.
    pub kind: ConversationKind,
    /// The name; none for a direct message of two.
    #[serde(skip)]
    pub name: Option<String>,
    /// The creator.
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
    #[serde(skip)]
    pub latest: Ts,
    /// The oldest message that was posted here (not imported); [`Ts::MAX`] if there is none. An import must be older.
    #[serde(skip)]
    pub first_posted: Ts,
    /// How many countable messages were ever posted: the newest one's ordinal.
    #[serde(skip)]
    pub ordinal: u64,
    /// The messages that are pinned to it, the newest pin last; some hundred at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    /// A JSON object with what an import brought and nothing here understands.
    pub extra: Option<Text>,
}

impl ConversationRow {
    /// Returns the pin of a message.
    pub fn pin(&self, ts: Ts) -> Option<Pin> {
        self.pins.iter().find(|pin| pin.ts == ts).copied()
    }

    /// Builds the row of a conversation that its own event created.
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

    /// Builds the row of a channel that was created with its team.
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
            pins: Vec::new(),
            extra: None,
        }
    }
}

/// Returns whether a posted message counts as unread: not a system message, and a reply only if it is shown in the
/// conversation too.
pub fn is_countable(message: &Message) -> bool {
    !is_system(message.subtype.as_deref()) && (!message.is_reply() || message.reply_broadcast)
}

/// Finds the conversation whose row an event changes, and hands `with` what becomes of the row. An event that changes none
/// does not call it. (One that begins conversations is told by [`crate::begun_conversations`]; their first messages here.)
pub fn change_conversation(event: &Event, with: impl FnOnce(ConversationId, &mut dyn FnMut(&mut ConversationRow))) {
    match event {
        Event::MessagePosted(e) => with(e.conversation, &mut |row| {
            row.note_message(e.message.ts);
            row.ordinal += u64::from(is_countable(&e.message));
        }),
        // An import is older than what was posted here.
        Event::MessageImported(e) => with(e.conversation, &mut |row| row.latest = row.latest.max(e.message.ts)),
        Event::ConversationRenamed(e) => with(e.conversation, &mut |row| {
            row.previous_names.push(e.old_name.clone());
            row.name = Some(e.name.clone());
            row.note_implied(event);
        }),
        Event::TopicSet(e) => with(e.conversation, &mut |row| {
            row.topic = Headline::set(&e.topic, e.meta.actor, e.ts);
            row.note_implied(event);
        }),
        Event::PurposeSet(e) => with(e.conversation, &mut |row| {
            row.purpose = Headline::set(&e.purpose, e.meta.actor, e.ts);
            row.note_implied(event);
        }),
        Event::ConversationArchived(e) => with(e.conversation, &mut |row| {
            row.is_archived = true;
            row.note_implied(event);
        }),
        Event::ConversationUnarchived(e) => with(e.conversation, &mut |row| {
            row.is_archived = false;
            row.note_implied(event);
        }),
        Event::ConversationCreated(e) => with(e.conversation, &mut |row| row.note_implied(event)),
        Event::MembersJoined(e) => with(e.conversation, &mut |row| row.note_implied(event)),
        Event::MemberLeft(e) => with(e.conversation, &mut |row| row.note_implied(event)),
        Event::MessagePinned(e) => with(e.conversation, &mut |row| {
            let by = e.meta.actor;
            row.pins.extend(by.map(|by| Pin { ts: e.message.ts, by, at: e.meta.at }));
            row.note_implied(event);
        }),
        Event::MessageUnpinned(e) => with(e.conversation, &mut |row| row.unpin(e.message.ts)),
        Event::MessageDeleted(e) => with(e.conversation, &mut |row| row.unpin(e.before.ts)),
        Event::TeamCreated(_)
        | Event::UserCreated(_)
        | Event::BotAdded(_)
        | Event::PasswordSet(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_)
        | Event::ConversationOpened(_)
        | Event::ConversationClosed(_)
        | Event::MessageEdited(_)
        | Event::MessageScheduled(_)
        | Event::ScheduledMessageDeleted(_)
        | Event::ReactionAdded(_)
        | Event::ReactionRemoved(_)
        | Event::ReadMarked(_)
        | Event::CredentialStored(_)
        | Event::ClusterFounded(_)
        | Event::TeamRegistered(_)
        | Event::NodeBeat(_)
        | Event::ConsumerProgress(_)
        | Event::WorkFailed(_) => {}
    }
}

impl ConversationRow {
    /// Notes the messages that an event implies: a join message and the like move a conversation's newest `ts` as a post
    /// does, and count for nobody.
    fn note_implied(&mut self, event: &Event) {
        event.messages().iter().for_each(|(_, message)| self.note_message(message.ts));
    }

    fn unpin(&mut self, ts: Ts) {
        self.pins.retain(|pin| pin.ts != ts);
    }

    fn note_message(&mut self, ts: Ts) {
        self.latest = self.latest.max(ts);
        self.first_posted = self.first_posted.min(ts);
    }
}

/// A conversation in its team: all that its row says, and who is in it.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The rest of it; its fields are this one's too.
    pub row: ConversationRow,
    /// The members, by dense index.
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
