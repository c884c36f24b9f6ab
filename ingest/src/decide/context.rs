//! What every decision looks at.

use teamlog_schemas::{ConversationId, ConversationKind, Meta, Ts, UserId};
use teamlog_state::{Conversation, Facts, Member, Team};

use super::Now;
use crate::{Refusal, Request};

pub(super) struct Context<'a, 'n> {
    pub(super) team: &'a Team,
    pub(super) facts: &'a Facts,
    pub(super) request: &'a Request,
    pub(super) now: Now<'n>,
}

impl<'a, 'n> Context<'a, 'n> {
    /// Refuses who is not of the team (any more).
    pub(super) fn new(team: &'a Team, facts: &'a Facts, request: &'a Request, now: Now<'n>) -> Result<Self, Refusal> {
        if let Some(actor) = request.actor {
            let member = team.person(actor).ok_or(Refusal::AccountInactive)?;
            if member.person.deleted {
                return Err(Refusal::AccountInactive);
            }
        }
        Ok(Context { team, facts, request, now })
    }

    pub(super) fn meta(&self) -> Meta {
        Meta {
            event_id: self.now.event_id,
            team: self.team.id(),
            actor: self.request.actor,
            at: self.now.at,
            key: self.request.key.clone(),
            method: self.request.key.as_ref().map(|_| self.request.method.clone().into_owned()),
        }
    }

    /// The next message's `ts`: the clock's, and always above the last one's.
    pub(super) fn ts(&self) -> Ts {
        self.now.at.max(self.team.last_ts().next())
    }

    /// Who asks. The operator's tools have no name, and cannot do what needs one.
    pub(super) fn actor(&self) -> Result<UserId, Refusal> {
        self.request.actor.ok_or(Refusal::UserNotFound)
    }

    /// Whether who asks may manage the team; the operator's tools may.
    pub(super) fn is_admin(&self) -> bool {
        match self.request.actor {
            None => true,
            Some(actor) => self.team.person(actor).is_some_and(|member| member.person.is_admin),
        }
    }

    /// A conversation that who asks may know of.
    pub(super) fn visible(&self, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
        let found = self.team.conversation(conversation).ok_or(Refusal::ChannelNotFound)?;
        match self.request.actor {
            Some(actor) if !self.team.may_read(actor, conversation) => Err(Refusal::ChannelNotFound),
            _ => Ok(found),
        }
    }

    /// A channel that who asks may know of; not a direct message.
    pub(super) fn channel(&self, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
        let found = self.visible(conversation)?;
        if found.kind.is_channel() { Ok(found) } else { Err(Refusal::WrongKind) }
    }

    /// A channel that who asks is in and that is not in the archive.
    pub(super) fn own_channel(&self, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
        let found = self.channel(conversation)?;
        self.must_be_in(found)?;
        if found.is_archived { Err(Refusal::IsArchived) } else { Ok(found) }
    }

    pub(super) fn must_be_in(&self, conversation: &Conversation) -> Result<(), Refusal> {
        match self.request.actor {
            Some(actor) if !self.team.is_member(actor, conversation.conversation) => Err(Refusal::NotInChannel),
            _ => Ok(()),
        }
    }

    /// A person of the team who is not deactivated.
    pub(super) fn person(&self, user: UserId) -> Result<&'a Member, Refusal> {
        let member = self.team.person(user).ok_or(Refusal::UserNotFound)?;
        if member.person.deleted { Err(Refusal::UserDisabled) } else { Ok(member) }
    }

    /// A new conversation's id that nobody has yet.
    pub(super) fn new_conversation_id(&mut self, kind: ConversationKind) -> ConversationId {
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
