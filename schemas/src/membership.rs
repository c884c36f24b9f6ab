//! Which events change who is in a conversation: the only place that lists them.

use crate::{ConversationId, Event, UserId};

/// A change of one person's membership in one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The conversation.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// True: in it from this event on (the event itself is theirs to see). False: not any more, from behind it.
    pub joined: bool,
}

impl Event {
    /// The changes of membership that this event makes, in order.
    pub fn memberships(&self) -> Vec<Membership> {
        let joined = |conversation, user| Membership { conversation, user, joined: true };
        match self {
            Event::TeamCreated(event) => {
                event.channels.iter().map(|channel| joined(channel.conversation, event.owner.user)).collect()
            }
            Event::ConversationCreated(event) => {
                event.members.iter().map(|user| joined(event.conversation, *user)).collect()
            }
            Event::MembersJoined(event) => {
                event.joined.iter().map(|one| joined(event.conversation, one.user)).collect()
            }
            Event::MemberLeft(event) => {
                vec![Membership { conversation: event.conversation, user: event.user, joined: false }]
            }
            _ => Vec::new(),
        }
    }

    /// The one conversation that it concerns; none if it concerns the whole team.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Event::ConversationCreated(e) => Some(e.conversation),
            Event::ConversationOpened(e) => Some(e.conversation),
            Event::ConversationClosed(e) => Some(e.conversation),
            Event::MembersJoined(e) => Some(e.conversation),
            Event::MemberLeft(e) => Some(e.conversation),
            Event::ConversationRenamed(e) => Some(e.conversation),
            Event::TopicSet(e) => Some(e.conversation),
            Event::PurposeSet(e) => Some(e.conversation),
            Event::ConversationArchived(e) => Some(e.conversation),
            Event::ConversationUnarchived(e) => Some(e.conversation),
            Event::MessagePosted(e) => Some(e.conversation),
            Event::MessageImported(e) => Some(e.conversation),
            Event::MessageEdited(e) => Some(e.conversation),
            Event::MessageDeleted(e) => Some(e.conversation),
            Event::ReactionAdded(e) => Some(e.conversation),
            Event::ReactionRemoved(e) => Some(e.conversation),
            Event::ReadMarked(e) => Some(e.conversation),
            Event::ClusterFounded(_)
            | Event::TeamRegistered(_)
            | Event::NodeBeat(_)
            | Event::ConsumerProgress(_)
            | Event::WorkFailed(_)
            | Event::TeamCreated(_)
            | Event::UserCreated(_)
            | Event::BotAdded(_)
            | Event::PasswordSet(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked(_)
            | Event::CredentialStored(_) => None,
        }
    }
}
