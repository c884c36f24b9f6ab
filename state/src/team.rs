//! `Team`: the in-memory view of one team.

use std::{collections::HashMap, sync::Arc};

use teamlog_schemas::{BotId, ConversationId, ConversationKind, Event, TeamId, Text, Ts, UserId};

use crate::{
    Conversation, ConversationIndex, Member, PersonIndex, TokenHash, TokenState, WriteKey,
    conversations::Conversations, keys::RecentKeys, people::People,
};

/// A bot that sends without a user of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Bot {
    /// The id.
    pub bot: BotId,
    /// The name.
    pub name: Text,
    /// A JSON object with what an import brought.
    pub extra: Option<Text>,
}

/// People, conversations, members, tokens and recent keys of one team, as of some position.
///
/// A clone shares its segments with the original until one of them changes. Everything here follows from the team's
/// events alone, in order: see [`Team::apply`].
#[derive(Clone, Debug)]
pub struct Team {
    pub(crate) team: TeamId,
    pub(crate) domain: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) shard: Arc<str>,
    pub(crate) created: Ts,
    pub(crate) last_ts: Ts,
    pub(crate) people: People,
    pub(crate) conversations: Conversations,
    pub(crate) bots: Arc<HashMap<BotId, Bot>>,
    pub(crate) tokens: Arc<HashMap<TokenHash, TokenState>>,
    pub(crate) keys: RecentKeys,
}

impl Team {
    /// A copy to look at without a lock: it shares what is large, and knows no keys of writes, which are not for
    /// looking at and which the next write would otherwise have to copy.
    pub fn to_look_at(&self) -> Team {
        Team {
            team: self.team,
            domain: self.domain.clone(),
            name: self.name.clone(),
            shard: self.shard.clone(),
            created: self.created,
            last_ts: self.last_ts,
            people: self.people.clone(),
            conversations: self.conversations.clone(),
            bots: self.bots.clone(),
            tokens: self.tokens.clone(),
            keys: RecentKeys::default(),
        }
    }

    /// The id.
    pub fn id(&self) -> TeamId {
        self.team
    }
    /// The domain that names it.
    pub fn domain(&self) -> &str {
        &self.domain
    }
    /// The name as people write it.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The shard that holds its rows.
    pub fn shard(&self) -> &str {
        &self.shard
    }
    /// When it began.
    pub fn created(&self) -> Ts {
        self.created
    }
    /// The newest `ts` that an event of this team gave out; the next one is above it.
    pub fn last_ts(&self) -> Ts {
        self.last_ts
    }

    /// How many people there are, bots' users and the deleted included.
    pub fn people_len(&self) -> usize {
        self.people.len()
    }
    /// Everybody, in the order in which they came.
    pub fn people(&self) -> impl DoubleEndedIterator<Item = &Member> {
        self.people.iter()
    }
    /// Returns a person by id.
    pub fn person(&self, user: UserId) -> Option<&Member> {
        self.people.get(self.person_index(user)?)
    }
    /// Returns a person's dense index.
    pub fn person_index(&self, user: UserId) -> Option<PersonIndex> {
        self.people.index(user)
    }
    /// Returns a person by dense index.
    pub fn person_at(&self, index: PersonIndex) -> Option<&Member> {
        self.people.get(index)
    }
    /// Returns a person by handle.
    pub fn person_named(&self, name: &str) -> Option<&Member> {
        self.people.named(name)
    }
    /// Returns a person by email; letter case does not matter.
    pub fn person_by_email(&self, email: &str) -> Option<&Member> {
        self.people.by_email(email)
    }

    /// How many conversations there are, of all kinds.
    pub fn conversations_len(&self) -> usize {
        self.conversations.len()
    }
    /// Every conversation, in the order in which they began.
    pub fn conversations(&self) -> impl DoubleEndedIterator<Item = &Conversation> {
        self.conversations.iter()
    }
    /// Returns a conversation by id.
    pub fn conversation(&self, conversation: ConversationId) -> Option<&Conversation> {
        self.conversations.get(self.conversation_index(conversation)?)
    }
    /// Returns a conversation's dense index.
    pub fn conversation_index(&self, conversation: ConversationId) -> Option<ConversationIndex> {
        self.conversations.index(conversation)
    }
    /// Returns a conversation by dense index.
    pub fn conversation_at(&self, index: ConversationIndex) -> Option<&Conversation> {
        self.conversations.get(index)
    }
    /// A channel, public or private, by name.
    pub fn channel_named(&self, name: &str) -> Option<&Conversation> {
        self.conversations.channel_named(name)
    }
    /// The channel that everybody is in.
    pub fn general(&self) -> Option<&Conversation> {
        self.conversations.general()
    }
    /// The direct message of exactly these people; their order and repeats do not matter.
    pub fn direct(&self, users: &[UserId]) -> Option<&Conversation> {
        let mut indexes = users.iter().map(|user| self.person_index(*user)).collect::<Option<Vec<_>>>()?;
        indexes.sort_unstable();
        indexes.dedup();
        self.conversations.direct(&indexes)
    }
    /// Returns the conversations that a person is in.
    pub fn conversations_of(&self, user: UserId) -> impl Iterator<Item = &Conversation> {
        let indexes = self.person(user).map(|member| &member.conversations);
        indexes.into_iter().flatten().filter_map(|index| self.conversations.get(index))
    }
    /// The people in a conversation, by index.
    pub fn members_of<'a>(&'a self, conversation: &'a Conversation) -> impl Iterator<Item = &'a Member> {
        conversation.members.iter().filter_map(|index| self.people.get(index))
    }
    /// Returns true if a person is in a conversation.
    pub fn is_member(&self, user: UserId, conversation: ConversationId) -> bool {
        self.person_index(user)
            .zip(self.conversation(conversation))
            .is_some_and(|(index, conversation)| conversation.members.contains(index))
    }
    /// Returns true if a person may read a conversation: a member, or anybody if it is a public channel.
    pub fn may_read(&self, user: UserId, conversation: ConversationId) -> bool {
        self.conversation(conversation).is_some_and(|c| {
            c.kind == ConversationKind::PublicChannel
                || self.person_index(user).is_some_and(|index| c.members.contains(index))
        })
    }

    /// A bot that sends without a user of its own.
    pub fn bot(&self, bot: BotId) -> Option<&Bot> {
        self.bots.get(&bot)
    }
    /// All of them, in no order.
    pub fn bots(&self) -> impl Iterator<Item = &Bot> {
        self.bots.values()
    }
    /// Returns the state of a token, by the hash of its text.
    pub fn token(&self, hash: &TokenHash) -> Option<TokenState> {
        self.tokens.get(hash).copied()
    }
    /// Whether nobody and nothing in this team has this id yet.
    pub fn is_free_user_id(&self, user: UserId) -> bool {
        self.people.index(user).is_none()
    }
    /// Whether no conversation in this team has this id yet.
    pub fn is_free_conversation_id(&self, conversation: ConversationId) -> bool {
        self.conversations.index(conversation).is_none()
    }
    /// The event of a keyed write of the last minutes. That it is not here says nothing: see the shard's table `keys`.
    pub fn recent_write(&self, key: &WriteKey) -> Option<&Arc<Event>> {
        self.keys.get(key)
    }

    /// A rough number of bytes in memory, for the bound of a cache.
    pub fn bytes(&self) -> usize {
        4096 + self.people.len() * 640 + self.conversations.len() * 768 + self.tokens.len() * 96 + self.keys.bytes()
    }
}
