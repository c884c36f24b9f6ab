//! The questions that every event answers, whatever its type.

use uuid::Uuid;

use crate::{ConversationId, Message, Meta, Thread, Token, Ts, UserId};

/// An event's answers to what others ask of every event. They stand beside its definition, in its file.
///
/// `about` and `reach` have no default: an event without them does not compile. Everything else says "nothing" unless
/// an event says otherwise.
pub trait Fact {
    /// Whom or what it concerns.
    fn about(&self) -> About<'_>;

    /// Returns the sessions that the event may be sent to. Every frame of it is for a subset of these. Delivery checks this
    /// first, live and on replay.
    fn reach(&self) -> Reach;

    /// Returns the message that it adds to a conversation, if it is not a system message.
    fn message(&self) -> Option<(ConversationId, &Message)> {
        None
    }

    /// The system messages that it implies ("has joined the channel"), oldest first, with their conversation.
    ///
    /// Subtypes are those of public channels (`channel_join`); of a private one they are rendered with `group_`. What
    /// a subtype carries besides (`inviter`, `topic`, `name`, ...) stands in `extra`.
    fn implied(&self) -> Vec<(ConversationId, Message)> {
        Vec::new()
    }

    /// Returns the change that the event makes to an existing message, if any.
    fn change(&self) -> Option<MessageChange<'_>> {
        None
    }

    /// The changes of who is in a conversation, in order.
    fn memberships(&self) -> Vec<Membership> {
        Vec::new()
    }

    /// Returns the newest `ts` that the event assigned in its team; zero if it assigned none. The next one is greater.
    fn given_ts(&self) -> Ts {
        let implied = self.implied().into_iter().map(|(_, message)| message.ts);
        implied.chain(self.message().map(|(_, message)| message.ts)).max().unwrap_or(Ts::ZERO)
    }

    /// Returns the token that it issues.
    fn token(&self) -> Option<&Token> {
        None
    }

    /// Returns the user whose password is valid from this event on, and its id in `credentials`.
    fn password(&self) -> Option<(UserId, Uuid)> {
        None
    }

    /// Returns the key of its record: the team's id, unless its topic has another kind of key. None if the event has no
    /// key.
    fn record_key(&self) -> Option<String> {
        self.about().meta().map(|meta| meta.team.to_string())
    }
}

/// Whom or what an event concerns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum About<'a> {
    /// The cluster: no team.
    Cluster,
    /// A team.
    Team(&'a Meta),
    /// A conversation of a team.
    Conversation(&'a Meta, ConversationId),
}

impl<'a> About<'a> {
    /// Returns the [`Meta`] of a team's event; none for an event of the cluster.
    pub const fn meta(self) -> Option<&'a Meta> {
        match self {
            About::Cluster => None,
            About::Team(meta) | About::Conversation(meta, _) => Some(meta),
        }
    }

    /// The conversation.
    pub const fn conversation(self) -> Option<ConversationId> {
        match self {
            About::Cluster | About::Team(_) => None,
            About::Conversation(_, conversation) => Some(conversation),
        }
    }
}

/// Whose sessions an event may be sent to, from few to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// No sessions.
    Nobody,
    /// Sessions of the conversation's members at this event, including a member who leaves with it.
    Members,
    /// Sessions of all who may see the conversation: the whole team for a public channel, else its members.
    Viewers,
    /// The whole team's.
    Everyone,
}

/// A change of one person's membership in one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The conversation.
    pub conversation: ConversationId,
    /// The person.
    pub user: UserId,
    /// True: in it from this event on (the event itself is theirs to see). False: not any more after it.
    pub joined: bool,
}

/// A change that an event makes to an existing message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MessageChange<'a> {
    /// The message's conversation.
    pub conversation: ConversationId,
    /// The message's name.
    pub ts: Ts,
    /// The kind of change.
    pub what: Changed<'a>,
}

/// The kind of a change to a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Changed<'a> {
    /// Its author edited it: the message as it is now.
    Edited(&'a Message),
    /// The message was deleted.
    Deleted(Deletion<'a>),
    /// A person put an emoji on it, or took it off.
    Reacted {
        /// The emoji's name, without colons.
        name: &'a str,
        /// The person.
        user: UserId,
        /// Put on rather than taken off.
        added: bool,
    },
}

/// The end of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deletion<'a> {
    /// The message as it was.
    pub before: &'a Message,
    /// True for a root with replies: a tombstone stands in its place, because the thread goes on.
    pub tombstone: bool,
    /// The thread without it, if it was a reply and not the last one.
    pub thread: Option<&'a Thread>,
}
