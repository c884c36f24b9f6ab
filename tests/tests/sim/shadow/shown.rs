//! The frames of an event and their recipients: in the order of `docs/`, by the memberships that decide about them.

use std::collections::{BTreeMap, BTreeSet};

use teamlog_schemas::{ConversationId, ConversationKind, Event, UserId};

/// A frame of an event.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The frame's `type`.
    pub(crate) kind: &'static str,
    /// The frame's `event_ts`.
    pub(crate) event_ts: String,
    /// A message's text.
    pub(crate) text: Option<String>,
    /// The conversation that it is about, as `channel` names it.
    pub(crate) channel: Option<ConversationId>,
    /// The recipients of the frame.
    pub(crate) to: BTreeSet<UserId>,
}

/// The members of the conversations of one team, as of some event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memberships {
    pub(crate) people: BTreeSet<UserId>,
    kinds: BTreeMap<ConversationId, ConversationKind>,
    members: BTreeMap<ConversationId, BTreeSet<UserId>>,
}

impl Memberships {
    pub(crate) fn is_in(&self, conversation: ConversationId, user: UserId) -> bool {
        self.members.get(&conversation).is_some_and(|members| members.contains(&user))
    }

    /// Every pair, in order.
    pub(crate) fn pairs(&self) -> Vec<(ConversationId, UserId)> {
        self.members.iter().flat_map(|(conversation, users)| users.iter().map(|user| (*conversation, *user))).collect()
    }

    /// Takes the next event of the team, and says what it shows. A join is in force at its own event, a leave only
    /// behind it.
    pub(super) fn pass(&mut self, event: &Event) -> Vec<Shown> {
        match event {
            Event::TeamCreated(e) => {
                self.people.insert(e.owner.user);
                for channel in &e.channels {
                    self.kinds.insert(channel.conversation, ConversationKind::PublicChannel);
                    self.members.entry(channel.conversation).or_default().insert(e.owner.user);
                }
                Vec::new()
            }
            Event::UserCreated(e) => {
                self.people.insert(e.person.user);
                vec![shown("team_join", e.meta.at, self.people.clone())]
            }
            Event::ConversationCreated(e) => {
                self.kinds.insert(e.conversation, e.kind);
                let mut all = Vec::new();
                if e.kind == ConversationKind::PublicChannel {
                    all.push(shown("channel_created", e.created, self.people.clone()));
                }
                let joined: Vec<_> = e.members.iter().map(|user| (*user, e.created)).collect();
                all.extend(self.join(e.conversation, &joined));
                all.extend(self.message_frames(event));
                all
            }
            Event::MembersJoined(e) => {
                let joined: Vec<_> = e.joined.iter().map(|one| (one.user, one.ts)).collect();
                let mut all = self.join(e.conversation, &joined);
                all.extend(self.message_frames(event));
                all
            }
            Event::MemberLeft(e) => {
                let left = if self.is_public(e.conversation) { "channel_left" } else { "group_left" };
                let mut all = vec![
                    Shown { channel: Some(e.conversation), ..shown(left, e.ts, [e.user].into()) },
                    self.to_members("member_left_channel", e.conversation, e.ts),
                ];
                all.extend(self.message_frames(event));
                self.members.entry(e.conversation).or_default().remove(&e.user);
                all
            }
            Event::MessagePosted(_) => self.message_frames(event),
            Event::ReactionAdded(e) => {
                vec![Shown { channel: None, ..self.to_members("reaction_added", e.conversation, e.meta.at) }]
            }
            Event::MessagePinned(e) => {
                let pinned = Shown { channel: None, ..self.to_members("pin_added", e.conversation, e.meta.at) };
                [pinned].into_iter().chain(self.message_frames(event)).collect()
            }
            Event::MessageEdited(e) => {
                let at = e.after.edited.map_or(e.meta.at, |edited| edited.ts);
                vec![self.to_members("message", e.conversation, at)]
            }
            // What no person of the simulation does, and what no session is sent.
            Event::ClusterFounded(_)
            | Event::TeamRegistered(_)
            | Event::NodeBeat(_)
            | Event::BotAdded(_)
            | Event::PasswordSet(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked(_)
            | Event::ConversationOpened(_)
            | Event::ConversationClosed(_)
            | Event::ConversationRenamed(_)
            | Event::TopicSet(_)
            | Event::PurposeSet(_)
            | Event::ConversationArchived(_)
            | Event::ConversationUnarchived(_)
            | Event::MessageImported(_)
            | Event::MessageDeleted(_)
            | Event::MessageScheduled(_)
            | Event::ScheduledMessageDeleted(_)
            | Event::ReactionRemoved(_)
            | Event::MessageUnpinned(_)
            | Event::ReadMarked(_)
            | Event::CredentialStored(_)
            | Event::ConsumerProgress(_)
            | Event::WorkFailed(_) => Vec::new(),
        }
    }

    fn is_public(&self, conversation: ConversationId) -> bool {
        self.kinds.get(&conversation) == Some(&ConversationKind::PublicChannel)
    }

    fn join(&mut self, conversation: ConversationId, joined: &[(UserId, teamlog_schemas::Ts)]) -> Vec<Shown> {
        let kind = if self.is_public(conversation) { "channel_joined" } else { "group_joined" };
        self.members.entry(conversation).or_default().extend(joined.iter().map(|(user, _)| *user));
        let whole = joined.iter().map(|(user, _)| shown(kind, joined[0].1, [*user].into()));
        let heard = joined.iter().map(|(_, ts)| self.to_members("member_joined_channel", conversation, *ts));
        whole.chain(heard).collect()
    }

    fn message_frames(&self, event: &Event) -> Vec<Shown> {
        let message = |(conversation, message): (ConversationId, teamlog_schemas::Message)| Shown {
            text: Some(message.text.plain),
            ..self.to_members("message", conversation, message.ts)
        };
        event.messages().into_iter().map(message).collect()
    }

    fn to_members(&self, kind: &'static str, conversation: ConversationId, at: teamlog_schemas::Ts) -> Shown {
        let to = self.members.get(&conversation).cloned().unwrap_or_default();
        Shown { channel: Some(conversation), ..shown(kind, at, to) }
    }
}

fn shown(kind: &'static str, at: teamlog_schemas::Ts, to: BTreeSet<UserId>) -> Shown {
    Shown { kind, event_ts: at.to_string(), text: None, channel: None, to }
}
