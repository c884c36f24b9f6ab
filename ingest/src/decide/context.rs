//! The arguments of every decision, and the questions that many of them ask.

use teamlog_cluster::token_hash;
use teamlog_schemas::{ConversationId, ConversationKind, Meta, Token, TokenKind, Ts, UserId};
use teamlog_state::{Conversation, Facts, Member, MessageFact, Team};

use super::now::Now;
use crate::Refusal;

/// The origin of a command: its actor, none for the operator's tools, and its idempotency key, which is good for one method.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) actor: Option<UserId>,
    pub(crate) method: &'a str,
    pub(crate) key: Option<&'a str>,
}

/// The arguments of a decision: the team, the facts that the command asked for, its origin, time and dice.
pub struct Context<'a, 'n> {
    pub(crate) team: &'a Team,
    pub(crate) facts: &'a Facts,
    pub(crate) origin: Origin<'a>,
    pub(crate) now: Now<'n>,
}

impl<'a, 'n> Context<'a, 'n> {
    /// Refuses a request whose actor is not a member of the team, or not any more.
    pub(crate) fn new(team: &'a Team, facts: &'a Facts, origin: Origin<'a>, now: Now<'n>) -> Result<Self, Refusal> {
        if let Some(actor) = origin.actor {
            let member = team.person(actor).ok_or(Refusal::AccountInactive)?;
            if member.person.deleted {
                return Err(Refusal::AccountInactive);
            }
        }
        Ok(Context { team, facts, origin, now })
    }

    /// Returns the beginning of the event that is decided.
    pub(crate) fn meta(&self) -> Meta {
        Meta {
            event_id: self.now.event_id,
            team: self.team.id(),
            actor: self.origin.actor,
            at: self.now.at,
            key: self.origin.key.map(str::to_owned),
            method: self.origin.key.map(|_| self.origin.method.to_owned()),
        }
    }

    /// Returns the next message's `ts`: the clock's, and always above the last one's.
    pub(crate) fn ts(&self) -> Ts {
        self.now.at.max(self.team.last_ts().next())
    }

    /// Returns the actor. The operator's tools have none, and cannot do what needs one.
    pub(crate) fn actor(&self) -> Result<UserId, Refusal> {
        self.origin.actor.ok_or(Refusal::UserNotFound)
    }

    /// Whether the actor may manage the team. The operator's tools may.
    pub(crate) fn is_admin(&self) -> bool {
        match self.origin.actor {
            None => true,
            Some(actor) => self.team.person(actor).is_some_and(|member| member.person.is_admin),
        }
    }

    /// Returns a conversation that the actor may know of.
    pub(crate) fn visible(&self, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
        let found = self.team.conversation(conversation).ok_or(Refusal::ChannelNotFound)?;
        match self.origin.actor {
            Some(actor) if !self.team.may_read(actor, conversation) => Err(Refusal::ChannelNotFound),
            _ => Ok(found),
        }
    }

    /// Returns a channel that the actor may know of; not a direct message.
    pub(crate) fn channel(&self, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
        let found = self.visible(conversation)?;
        if found.kind.is_channel() { Ok(found) } else { Err(Refusal::WrongKind) }
    }

    /// Returns a channel that the actor is in and that is not in the archive.
    pub(crate) fn own_channel(&self, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
        let found = self.channel(conversation)?;
        self.must_be_in(found)?;
        if found.is_archived { Err(Refusal::IsArchived) } else { Ok(found) }
    }

    /// Refuses an actor who is not a member of the conversation.
    pub(crate) fn must_be_in(&self, conversation: &Conversation) -> Result<(), Refusal> {
        match self.origin.actor {
            Some(actor) if !self.team.is_member(actor, conversation.conversation) => Err(Refusal::NotInChannel),
            _ => Ok(()),
        }
    }

    /// Returns a message that the actor may read and that is not deleted, and its conversation. The command must have asked
    /// for it in `wants`.
    pub(crate) fn message(
        &self,
        conversation: ConversationId,
        ts: Ts,
    ) -> Result<(&'a Conversation, &'a MessageFact), Refusal> {
        let conversation = self.visible(conversation)?;
        let fact = self.facts.message(conversation.conversation, ts).filter(|fact| !fact.tombstone);
        Ok((conversation, fact.ok_or(Refusal::MessageNotFound)?))
    }

    /// Returns a person of the team who is not deactivated.
    pub(crate) fn person(&self, user: UserId) -> Result<&'a Member, Refusal> {
        let member = self.team.person(user).ok_or(Refusal::UserNotFound)?;
        if member.person.deleted { Err(Refusal::UserDisabled) } else { Ok(member) }
    }

    /// Returns a new token for a person, or for a bot's user. It is derived from the event's id,
    /// so the log holds its hash alone.
    pub(crate) fn token_for(&self, user: UserId, is_bot: bool) -> Token {
        let kind = if is_bot { TokenKind::Bot } else { TokenKind::User };
        let text = self.now.secrets.token_for(self.now.event_id, self.team.id(), kind);
        Token { user, kind, hash: hex::encode(token_hash(&text)) }
    }

    /// Returns an id for a new conversation that no other one has.
    pub(crate) fn new_conversation_id(&mut self, kind: ConversationKind) -> ConversationId {
        let letter = match kind {
            ConversationKind::PublicChannel => 'C',
            ConversationKind::PrivateChannel | ConversationKind::Mpim => 'G',
            ConversationKind::Im => 'D',
        };
        loop {
            let id = ConversationId::random(letter, (self.now.random)());
            if self.team.is_free_conversation_id(id) {
                return id;
            }
        }
    }
}
