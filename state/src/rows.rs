//! A team as its shard holds it: what is read in one consistent read, and how it becomes a [`Team`].

use std::sync::Arc;

use roaring::RoaringBitmap;
use teamlog_schemas::{ConversationId, Person, TeamId, Ts, UserId};

use crate::{Bot, Conversation, ConversationRow, Team, TokenHash, TokenState};

/// All rows of one team that [`Team`] is made of, as of one position.
#[derive(Clone, Debug)]
pub struct TeamRows {
    /// The id.
    pub team: TeamId,
    /// The domain.
    pub domain: String,
    /// The name.
    pub name: String,
    /// The shard.
    pub shard: String,
    /// When it began.
    pub created: Ts,
    /// The newest `ts` given out.
    pub last_ts: Ts,
    /// People with the time they came, in the order of their dense indexes.
    pub people: Vec<(Person, Ts)>,
    /// Conversations, in the order of their dense indexes.
    pub conversations: Vec<ConversationRow>,
    /// The members of conversations.
    pub members: Vec<(ConversationId, UserId)>,
    /// Direct messages that a member has closed.
    pub closed: Vec<(ConversationId, UserId)>,
    /// Bots without a user.
    pub bots: Vec<Bot>,
    /// Tokens, the revoked included.
    pub tokens: Vec<(TokenHash, TokenState)>,
}

impl Team {
    /// The team whose rows these are. Rows that name nobody or nothing are left out: `view verify` finds them.
    pub fn from_rows(rows: TeamRows) -> Team {
        let mut team = Team::empty(rows.team, rows.domain, rows.name, rows.shard, rows.created);
        for (person, since) in rows.people {
            team.people.add(person, since);
        }
        for row in rows.conversations {
            team.conversations.add(row.into());
        }
        for (conversation, user) in rows.members {
            team.set_member(conversation, user, true);
        }
        for (conversation, user) in rows.closed {
            team.set_closed(conversation, user, true);
        }
        for index in 0..team.conversations.len() {
            team.conversations.index_direct(index as u32);
        }
        Arc::make_mut(&mut team.bots).extend(rows.bots.into_iter().map(|bot| (bot.bot, bot)));
        Arc::make_mut(&mut team.tokens).extend(rows.tokens);
        team.last_ts = rows.last_ts;
        team
    }

    /// The rows that [`Team::from_rows`] would make this team of, members and the like in ascending order: what a
    /// comparison of two teams compares. (Recent keys are no part of it.)
    pub fn to_rows(&self) -> TeamRows {
        let mut rows = TeamRows {
            team: self.team,
            domain: self.domain.to_string(),
            name: self.name.to_string(),
            shard: self.shard.to_string(),
            created: self.created,
            last_ts: self.last_ts,
            people: self.people().map(|member| (member.person.clone(), member.since)).collect(),
            conversations: self.conversations().map(|conversation| conversation.row.clone()).collect(),
            members: self.pairs(|conversation| &conversation.members),
            closed: self.pairs(|conversation| &conversation.closed_for),
            bots: self.bots().cloned().collect(),
            tokens: self.tokens.iter().map(|(hash, state)| (*hash, *state)).collect(),
        };
        rows.bots.sort_by_key(|bot| bot.bot);
        rows.tokens.sort_by_key(|(hash, _)| *hash);
        rows
    }

    fn pairs(&self, of: impl Fn(&Conversation) -> &RoaringBitmap) -> Vec<(ConversationId, UserId)> {
        let people = |index| self.person_at(index).map(|member| member.person.user);
        let mut pairs: Vec<_> = self
            .conversations()
            .flat_map(|c| of(c).iter().filter_map(people).map(|user| (c.conversation, user)).collect::<Vec<_>>())
            .collect();
        pairs.sort_unstable();
        pairs
    }
}

impl Team {
    pub(crate) fn empty(
        team: TeamId,
        domain: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        shard: impl Into<Arc<str>>,
        created: Ts,
    ) -> Team {
        Team {
            team,
            domain: domain.into(),
            name: name.into(),
            shard: shard.into(),
            created,
            last_ts: Ts::ZERO,
            people: Default::default(),
            conversations: Default::default(),
            bots: Default::default(),
            tokens: Default::default(),
            keys: Default::default(),
        }
    }

    pub(crate) fn set_member(&mut self, conversation: ConversationId, user: UserId, joined: bool) {
        let (Some(c), Some(p)) = (self.conversation_index(conversation), self.person_index(user)) else { return };
        if let Some(conversation) = self.conversations.get_mut(c) {
            set(&mut conversation.members, p, joined);
        }
        if let Some(member) = self.people.get_mut(p) {
            set(&mut member.conversations, c, joined);
        }
    }

    pub(crate) fn set_closed(&mut self, conversation: ConversationId, user: UserId, closed: bool) {
        let (Some(c), Some(p)) = (self.conversation_index(conversation), self.person_index(user)) else { return };
        // Most posts change nothing here: look before the segment is copied.
        if self.conversations.get(c).is_some_and(|conversation| conversation.closed_for.contains(p) != closed)
            && let Some(conversation) = self.conversations.get_mut(c)
        {
            set(&mut conversation.closed_for, p, closed);
        }
    }
}

fn set(bitmap: &mut RoaringBitmap, index: u32, present: bool) {
    if present {
        bitmap.insert(index);
    } else {
        bitmap.remove(index);
    }
}
